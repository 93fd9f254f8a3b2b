"""The contract every payment provider must pass; subclass `ProviderContract` to run it.

    class TestAcme(ProviderContract):
        provider_class = AcmeProvider
        def arrange(self, case): ...
        async def books(self, payment_id): ...
        async def signed_webhook(self): ...

Tests of undeclared capabilities are skipped, and those of cases the author cannot arrange.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest

from lago_engine.payments import (
    API_VERSION,
    METHODS,
    ActionRequired,
    BadSignature,
    Capability,
    ChargeRequest,
    Ctx,
    CustomerRef,
    Declined,
    Misconfigured,
    Money,
    NotSupported,
    Outcome,
    PaymentProvider,
    Pending,
    ProviderEvent,
    ProviderUnavailable,
    RawWebhook,
    Succeeded,
    Unknown,
    secret_fields,
)
from lago_engine.testing.provider_kit import EUR_1205, Case, ProviderKit, new_id

_SECRET_NAME = re.compile(r"secret|password|token|api_key|hmac|signature_key")


class ProviderContract(ProviderKit):
    """The tests; the hooks to implement are in `ProviderKit`."""

    # ---- declaration ----------------------------------------------------------------------
    def test_the_declaration_is_complete(self) -> None:
        declared = self.provider_class
        assert declared.api_version[0] == API_VERSION[0]
        assert re.fullmatch(r"[a-z][a-z0-9_]*", declared.code)
        assert isinstance(declared.capabilities, frozenset)
        for capability in declared.capabilities:
            for name in METHODS[Capability(capability)]:
                is_async = inspect.iscoroutinefunction(getattr(declared, name))
                assert is_async is (name != "verify_webhook"), name

    def test_what_charges_can_be_reconciled(self) -> None:
        self.need(Capability.CHARGE_OFF_SESSION)
        declared = self.provider_class.capabilities
        assert Capability.FIND_BY_KEY in declared, "an Unknown outcome could never be resolved"
        assert declared & {Capability.FETCH, Capability.WEBHOOKS}, "Pending would never end"

    async def test_undeclared_methods_refuse(self, provider: PaymentProvider) -> None:
        declared = {name for cap in self.provider_class.capabilities for name in METHODS[cap]}
        for name, call in _calls(provider, self.ctx()).items():
            if name not in declared:
                with pytest.raises(NotSupported):
                    await call()
        if "verify_webhook" not in declared:
            hook = RawWebhook(headers={}, body=b"{}", received_at_us=0)
            with pytest.raises(NotSupported):
                provider.verify_webhook(self.ctx(), hook)

    def test_the_config_is_flat_json_with_its_secrets_marked(self) -> None:
        config = self.arranged(Case.SUCCEEDS).config
        assert type(config) is self.provider_class.Config
        text = msgspec.json.encode(config)
        assert msgspec.json.decode(text, type=type(config)) == config
        assert msgspec.json.schema(type(config))
        for name, value in msgspec.to_builtins(config).items():
            assert not isinstance(value, dict), f"{name} is nested"
            if isinstance(value, str) and _SECRET_NAME.search(name):
                assert name in secret_fields(type(config)), f"{name} is not marked as Secret"

    async def test_no_secret_shows(
        self,
        provider: PaymentProvider,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        caplog.set_level("DEBUG")
        shown: list[str] = []
        hidden: set[str] = set()
        for case in [case for case in Case if self.arrange(case) is not None]:
            ctx = self.ctx(case, deadline_s=0.5)
            fields = secret_fields(type(ctx.config))
            hidden |= {getattr(ctx.config, name) or "" for name in fields} - {""}
            shown += [repr(ctx), str(ctx), repr(ctx.config.masked()), repr(provider)]
            if Capability.CHARGE_OFF_SESSION in self.provider_class.capabilities:
                request = await self.request_for(provider, case)
                shown.append(await _shown_by(provider.charge(ctx, request)))
            shown.append(await _shown_by(provider.check(ctx)))
        captured = capsys.readouterr()
        everything = "\n".join([*shown, caplog.text, captured.out, captured.err])
        assert [secret for secret in hidden if secret in everything] == []

    async def test_wrong_credentials_are_reported(self, provider: PaymentProvider) -> None:
        with pytest.raises(Misconfigured):
            await provider.check(self.ctx(Case.WRONG_CREDENTIALS))

    async def test_good_credentials_pass(self, provider: PaymentProvider) -> None:
        await provider.check(self.ctx())

    # ---- customers and pages --------------------------------------------------------------
    async def test_a_customer_is_created_once(self, provider: PaymentProvider) -> None:
        self.need(Capability.CHARGE_OFF_SESSION)
        first, other = (
            CustomerRef(lago_id=new_id("cus"), external_id=new_id("ext")) for _ in range(2)
        )
        created = await provider.ensure_customer(self.ctx(), first)
        assert created
        assert await provider.ensure_customer(self.ctx(), first) == created
        assert await provider.ensure_customer(self.ctx(), other) != created

    async def test_stored_methods_show_no_full_number(self, provider: PaymentProvider) -> None:
        self.need(Capability.LIST_METHODS, Capability.CHARGE_OFF_SESSION)
        request = await self.request_for(provider, Case.SUCCEEDS)
        customer_id = request.customer.provider_customer_id
        assert customer_id
        for method in await provider.list_methods(self.ctx(), customer_id):
            assert method.provider_method_id
            assert not re.search(r"\d{12,}", " ".join(method.display.values()))

    async def test_a_checkout_page_is_one_per_key(self, provider: PaymentProvider) -> None:
        self.need(Capability.CHECKOUT_PAYMENT, Capability.CHARGE_OFF_SESSION)
        request, ctx = await self.request_for(provider, Case.SUCCEEDS), self.ctx()
        link = await provider.checkout_payment(ctx, request, "https://example.com/back")
        again = await provider.checkout_payment(ctx, request, "https://example.com/back")
        assert re.match(r"https?://", link.url)
        assert (again.url, again.provider_ref) == (link.url, link.provider_ref)
        assert (await self.books(request.payment_id)).charged == ()

    async def test_a_setup_page_is_offered(self, provider: PaymentProvider) -> None:
        self.need(Capability.CHECKOUT_SETUP)
        customer = CustomerRef(lago_id=new_id("cus"), external_id="acme")
        link = await provider.checkout_setup(self.ctx(), customer, "https://example.com/back")
        assert re.match(r"https?://", link.url)

    # ---- charges --------------------------------------------------------------------------
    @pytest.mark.parametrize("currency", ["EUR", "JPY", "BHD"])
    @pytest.mark.parametrize("minor", [1205, 1_000_007])
    async def test_minor_units_are_exact(
        self, provider: PaymentProvider, minor: int, currency: str
    ) -> None:
        self.need(Capability.CHARGE_OFF_SESSION)
        if currency not in self.currencies:
            pytest.skip(f"the PSP does not take {currency}")
        amount = Money(minor, currency)
        request = await self.request_for(provider, Case.SUCCEEDS, amount)
        outcome = await provider.charge(self.ctx(), request)
        assert isinstance(outcome, Succeeded)
        assert outcome.amount == amount
        assert list((await self.books(request.payment_id)).charged) == [amount]

    async def test_one_key_charges_once(self, provider: PaymentProvider) -> None:
        self.need(Capability.CHARGE_OFF_SESSION)
        request, ctx = await self.request_for(provider, Case.SUCCEEDS), self.ctx()
        attempts = (provider.charge(ctx, request) for _ in range(5))
        outcomes = await asyncio.gather(*attempts)
        outcomes.append(await provider.charge(ctx, request))
        # A concurrent repetition may be told "in progress"; one at rest must get the answer.
        assert isinstance(outcomes[-1], Succeeded)
        refs = {outcome.provider_ref for outcome in outcomes if not isinstance(outcome, Unknown)}
        assert refs == {outcomes[-1].provider_ref}
        assert list((await self.books(request.payment_id)).charged) == [request.amount]

    async def test_two_keys_charge_twice(self, provider: PaymentProvider) -> None:
        self.need(Capability.CHARGE_OFF_SESSION)
        first = await self.request_for(provider, Case.SUCCEEDS)
        second = msgspec.structs.replace(first, payment_id=new_id("pay"))
        outcomes = [await provider.charge(self.ctx(), request) for request in (first, second)]
        refs = [outcome.provider_ref for outcome in outcomes if isinstance(outcome, Succeeded)]
        assert len(set(refs)) == 2
        for request in (first, second):
            assert list((await self.books(request.payment_id)).charged) == [request.amount]

    async def test_a_decline_is_a_value(self, provider: PaymentProvider) -> None:
        self.need(Capability.CHARGE_OFF_SESSION)
        request, ctx = await self.request_for(provider, Case.DECLINED), self.ctx(Case.DECLINED)
        outcome = await provider.charge(ctx, request)
        assert isinstance(outcome, Declined)
        assert outcome.message
        assert await provider.charge(ctx, request) == outcome
        assert (await self.books(request.payment_id)).charged == ()

    @pytest.mark.parametrize(
        ("case", "kind"), [(Case.PENDING, Pending), (Case.ACTION_REQUIRED, ActionRequired)]
    )
    async def test_an_open_payment_is_found_again(
        self, provider: PaymentProvider, case: Case, kind: type[Pending | ActionRequired]
    ) -> None:
        self.need(Capability.CHARGE_OFF_SESSION, Capability.FIND_BY_KEY)
        request, ctx = await self.request_for(provider, case), self.ctx(case)
        outcome = await provider.charge(ctx, request)
        assert isinstance(outcome, kind)
        found = await provider.find_by_key(ctx, ctx.idempotency_key)
        assert isinstance(found, kind)
        assert found.provider_ref == outcome.provider_ref
        assert not isinstance(found, ActionRequired) or re.match(r"https?://", found.url)

    async def test_look_ups_agree(self, provider: PaymentProvider) -> None:
        self.need(Capability.CHARGE_OFF_SESSION, Capability.FETCH, Capability.FIND_BY_KEY)
        request, ctx = await self.request_for(provider, Case.SUCCEEDS), self.ctx()
        assert await provider.find_by_key(ctx, ctx.idempotency_key) is None
        outcome = await provider.charge(ctx, request)
        assert isinstance(outcome, Succeeded)
        for found in (
            await provider.fetch(ctx, outcome.provider_ref),
            await provider.find_by_key(ctx, ctx.idempotency_key),
        ):
            assert isinstance(found, Succeeded)
            assert (found.provider_ref, found.amount) == (outcome.provider_ref, request.amount)

    async def test_a_canceled_payment_never_pays(self, provider: PaymentProvider) -> None:
        self.need(Capability.CHARGE_OFF_SESSION, Capability.CANCEL)
        request, ctx = await self.request_for(provider, Case.PENDING), self.ctx(Case.PENDING)
        opened = await provider.charge(ctx, request)
        assert isinstance(opened, Pending)
        canceled = await provider.cancel(self.ctx(Case.PENDING), opened.provider_ref)
        assert isinstance(canceled, Declined)
        assert canceled.code == "canceled"
        assert (await self.books(request.payment_id)).charged == ()

    async def test_canceling_too_late_tells_the_truth(self, provider: PaymentProvider) -> None:
        self.need(Capability.CHARGE_OFF_SESSION, Capability.CANCEL)
        _, paid = await self.succeeded(provider)
        assert isinstance(await provider.cancel(self.ctx(), paid.provider_ref), Succeeded)

    @pytest.mark.parametrize(
        "case", [Case.SUCCEEDS, Case.DECLINED, Case.PENDING, Case.ACTION_REQUIRED]
    )
    async def test_outcomes_survive_the_event_store(
        self, provider: PaymentProvider, case: Case
    ) -> None:
        self.need(Capability.CHARGE_OFF_SESSION)
        request = await self.request_for(provider, case)
        outcome = await provider.charge(self.ctx(case), request)
        text = msgspec.json.encode(outcome)
        assert msgspec.json.decode(text, type=Outcome) == outcome

    # ---- faults ---------------------------------------------------------------------------
    @pytest.mark.parametrize("case", [Case.TIMEOUT_BEFORE, Case.TIMEOUT_AFTER, Case.SERVER_ERROR])
    async def test_an_unknown_outcome_reconciles(
        self, provider: PaymentProvider, case: Case
    ) -> None:
        self.need(Capability.CHARGE_OFF_SESSION, Capability.FIND_BY_KEY)
        request = await self.request_for(provider, case)
        ctx = self.ctx(case, deadline_s=0.5)
        async with asyncio.timeout(5):  # The provider must keep to the deadline.
            outcome = await provider.charge(ctx, request)
        assert isinstance(outcome, Unknown)
        found = await self.check_reconciled(
            provider, msgspec.structs.replace(ctx, deadline_s=5), request
        )
        if case is Case.TIMEOUT_BEFORE:
            assert found is None
        if case is Case.TIMEOUT_AFTER:
            assert isinstance(found, Succeeded)

    @pytest.mark.parametrize("case", [Case.TIMEOUT_BEFORE, Case.TIMEOUT_AFTER])
    async def test_a_canceled_task_is_reconcilable(
        self, provider: PaymentProvider, case: Case
    ) -> None:
        self.need(Capability.CHARGE_OFF_SESSION, Capability.FIND_BY_KEY)
        request, ctx = await self.request_for(provider, case), self.ctx(case, deadline_s=10)
        charging = asyncio.create_task(provider.charge(ctx, request))
        for _ in range(20):
            await asyncio.sleep(0.02)
            if (await self.books(request.payment_id)).charged:
                break
        if charging.done():
            pytest.skip("the PSP answers at once")
        charging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await charging
        found = await self.check_reconciled(provider, ctx, request)
        assert isinstance(found, Succeeded) is (case is Case.TIMEOUT_AFTER)

    @pytest.mark.parametrize("case", [Case.UNREACHABLE, Case.RATE_LIMITED])
    async def test_what_was_not_applied_is_unavailable(
        self, provider: PaymentProvider, case: Case
    ) -> None:
        self.need(Capability.CHARGE_OFF_SESSION)
        request = await self.request_for(provider, case)
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.charge(self.ctx(case), request)
        assert caught.value.retry_after_s >= 1
        assert (await self.books(request.payment_id)).charged == ()

    async def test_wrong_credentials_charge_nothing(self, provider: PaymentProvider) -> None:
        self.need(Capability.CHARGE_OFF_SESSION)
        request = await self.request_for(provider, Case.WRONG_CREDENTIALS)
        with pytest.raises(Misconfigured):
            await provider.charge(self.ctx(Case.WRONG_CREDENTIALS), request)
        assert (await self.books(request.payment_id)).charged == ()

    # ---- refunds --------------------------------------------------------------------------
    async def _refund(
        self, provider: PaymentProvider, paid: Succeeded, minor: int, ctx: Ctx | None = None
    ) -> Outcome:
        amount = Money(minor, paid.amount.currency)
        return await provider.refund(ctx or self.ctx(), paid.provider_ref, amount)

    async def _refunded_minor(self, request: ChargeRequest) -> int:
        books = await self.books(request.payment_id)
        assert all(money.currency == request.amount.currency for money in books.refunded)
        return sum(money.minor for money in books.refunded)

    async def test_a_refund_happens_once_per_key(self, provider: PaymentProvider) -> None:
        self.need(Capability.REFUND_PARTIAL)
        request, paid = await self.succeeded(provider)
        ctx = self.ctx()
        outcomes = await asyncio.gather(*(self._refund(provider, paid, 500, ctx) for _ in range(5)))
        outcomes.append(await self._refund(provider, paid, 500, ctx))
        assert isinstance(outcomes[-1], Succeeded | Pending)
        refs = {outcome.provider_ref for outcome in outcomes if not isinstance(outcome, Unknown)}
        assert refs == {outcomes[-1].provider_ref}
        assert await self._refunded_minor(request) == 500

    async def test_refunds_never_exceed_the_payment(self, provider: PaymentProvider) -> None:
        self.need(Capability.REFUND_PARTIAL)
        request, paid = await self.succeeded(provider)
        outcomes = await asyncio.gather(*(self._refund(provider, paid, 500) for _ in range(4)))
        assert [isinstance(outcome, Declined) for outcome in outcomes].count(True) == 2
        assert isinstance(await self._refund(provider, paid, 206), Declined)
        assert not isinstance(await self._refund(provider, paid, 205), Declined)
        assert await self._refunded_minor(request) == request.amount.minor

    async def test_a_full_refund_is_complete(self, provider: PaymentProvider) -> None:
        self.need(Capability.REFUND_FULL)
        request, paid = await self.succeeded(provider)
        ctx = self.ctx()
        outcome = await self._refund(provider, paid, paid.amount.minor, ctx)
        assert isinstance(outcome, Succeeded | Pending)
        assert outcome.provider_ref != paid.provider_ref
        if Capability.FIND_BY_KEY in self.provider_class.capabilities:
            found = await provider.find_by_key(ctx, ctx.idempotency_key)
            assert isinstance(found, Succeeded | Pending)
            assert found.provider_ref == outcome.provider_ref
        assert await self._refunded_minor(request) == request.amount.minor

    # ---- webhooks -------------------------------------------------------------------------
    def _verify(self, hook: RawWebhook) -> Sequence[ProviderEvent]:
        """With a provider that was never opened: verification is pure."""
        return self.provider_class().verify_webhook(self.ctx(), hook)

    async def test_a_genuine_webhook_is_normalized(self) -> None:
        self.need(Capability.WEBHOOKS)
        hook, other = await self.signed_webhook(), await self.signed_webhook()
        events = self._verify(hook)
        assert any(event.kind == "payment" and event.provider_ref for event in events)
        assert all(event.event_id for event in events)
        ids = {event.event_id for event in events}
        assert ids.isdisjoint(event.event_id for event in self._verify(other))

    async def test_a_duplicate_webhook_has_the_same_ids(self) -> None:
        self.need(Capability.WEBHOOKS)
        hook = await self.signed_webhook()
        later = msgspec.structs.replace(hook, received_at_us=hook.received_at_us + 1_000_000)
        assert self._verify(later) == self._verify(hook)

    async def test_a_tampered_webhook_is_refused(self) -> None:
        self.need(Capability.WEBHOOKS)
        hook = await self.signed_webhook()
        flipped = (
            hook.body[:at] + bytes([byte ^ 1]) + hook.body[at + 1 :]
            for at, byte in enumerate(hook.body)
        )
        # The space leaves a valid body: only the signature can tell.
        for body in (hook.body + b" ", *flipped):
            with pytest.raises(BadSignature):
                self._verify(msgspec.structs.replace(hook, body=body))

    async def test_a_webhook_of_another_connection_is_refused(self) -> None:
        self.need(Capability.WEBHOOKS)
        hook, config = await self.signed_webhook(), self.ctx().config
        others = dict.fromkeys(secret_fields(type(config)), "another")
        ctx = self.ctx(config=msgspec.structs.replace(config, **others))
        with pytest.raises(BadSignature):
            self.provider_class().verify_webhook(ctx, hook)

    async def test_an_unsigned_webhook_is_refused(self) -> None:
        self.need(Capability.WEBHOOKS)
        hook = await self.signed_webhook()
        with pytest.raises(BadSignature):
            self._verify(msgspec.structs.replace(hook, headers={}))
        broken = dict.fromkeys(hook.headers, "t=é,v1=")
        with pytest.raises(BadSignature):
            self._verify(msgspec.structs.replace(hook, headers=broken))

    @pytest.mark.parametrize("direction", [1, -1])
    async def test_a_webhook_from_another_time_is_refused(self, direction: int) -> None:
        self.need(Capability.WEBHOOKS)
        if self.webhook_tolerance_s is None:
            pytest.skip("the PSP signs no timestamp")
        hook = await self.signed_webhook()
        shift_us = direction * (self.webhook_tolerance_s + 60) * 1_000_000
        moved = msgspec.structs.replace(hook, received_at_us=hook.received_at_us + shift_us)
        with pytest.raises(BadSignature):
            self._verify(moved)


async def _shown_by(call: Awaitable[object]) -> str:
    """Everything a person may come to see of a call: its result or its error."""
    try:
        return repr(await call)
    except (ProviderUnavailable, Misconfigured) as error:
        return f"{error!r} {error} {error.__cause__!r}"


def _calls(provider: PaymentProvider, ctx: Ctx) -> dict[str, Callable[[], Awaitable[object]]]:
    """A call of every asynchronous method that belongs to a capability."""
    customer = CustomerRef(lago_id="cus", external_id="acme")
    request = ChargeRequest(payment_id="pay", amount=EUR_1205, customer=customer)
    url = "https://example.com/back"
    return {
        "ensure_customer": lambda: provider.ensure_customer(ctx, customer),
        "charge": lambda: provider.charge(ctx, request),
        "refund": lambda: provider.refund(ctx, "ref", EUR_1205),
        "cancel": lambda: provider.cancel(ctx, "ref"),
        "fetch": lambda: provider.fetch(ctx, "ref"),
        "find_by_key": lambda: provider.find_by_key(ctx, "key"),
        "list_methods": lambda: provider.list_methods(ctx, "cus"),
        "checkout_setup": lambda: provider.checkout_setup(ctx, customer, url),
        "checkout_payment": lambda: provider.checkout_payment(ctx, request, url),
        "register_webhook": lambda: provider.register_webhook(ctx, url),
    }
