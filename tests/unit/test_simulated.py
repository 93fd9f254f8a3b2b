"""The simulated provider: the public contract, its words, and its memory across a restart."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_engine.payments import (
    ActionRequired,
    ChargeRequest,
    Ctx,
    CustomerRef,
    Declined,
    Misconfigured,
    Money,
    Outcome,
    PaymentProvider,
    Pending,
    ProviderConfig,
    ProviderUnavailable,
    Succeeded,
    Unknown,
)
from lago_engine.payments.simulated import SimulatedConfig, SimulatedProvider
from lago_engine.testing import Arrangement, Books, Case, ProviderContract

CUSTOMER = CustomerRef(lago_id="c", external_id="acme", provider_customer_id="simcus_1")


def ctx(outcome: str = "succeeded", *, key: str = "pay:charge:1", **changes: object) -> Ctx:
    made = Ctx(config=SimulatedConfig(outcome=outcome), idempotency_key=key)
    return msgspec.structs.replace(made, **changes)


def request(minor: int = 1205, currency: str = "EUR") -> ChargeRequest:
    return ChargeRequest(payment_id="pay", amount=Money(minor, currency), customer=CUSTOMER)


OUTCOMES = {
    Case.SUCCEEDS: "succeeded",
    Case.DECLINED: "insufficient_funds",
    Case.PENDING: "processing",
    Case.ACTION_REQUIRED: "requires_action",
    Case.TIMEOUT_BEFORE: "timeout",
    Case.TIMEOUT_AFTER: "timeout_applied",
    Case.UNREACHABLE: "unavailable",
}


class RecordingProvider(SimulatedProvider):
    """Remembers which charge and refund came for which payment, for the contract's books."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, set[str]] = {}
        self.refund_keys: dict[str, set[str]] = {}

    async def charge(self, ctx: Ctx, request: ChargeRequest) -> Outcome:
        self.asked.setdefault(request.payment_id, set()).add(ctx.idempotency_key)
        return await super().charge(ctx, request)

    async def refund(self, ctx: Ctx, provider_ref: str, amount: Money) -> Outcome:
        self.refund_keys.setdefault(provider_ref, set()).add(ctx.idempotency_key)
        return await super().refund(ctx, provider_ref, amount)


class TestSimulated(ProviderContract):
    provider_class = RecordingProvider

    @pytest.fixture(autouse=True)
    async def remember(self, provider: PaymentProvider) -> None:
        assert isinstance(provider, RecordingProvider)
        self.simulated = provider

    def arrange(self, case: Case) -> Arrangement | None:
        if case not in OUTCOMES:
            return None
        return Arrangement(config=SimulatedConfig(outcome=OUTCOMES[case]))

    async def books(self, payment_id: str) -> Books:
        found = [
            await self.simulated.find_by_key(ctx(), key)
            for key in self.simulated.asked.get(payment_id, ())
        ]
        paid = [outcome for outcome in found if isinstance(outcome, Succeeded)]
        refunds = [
            await self.simulated.find_by_key(ctx(), key)
            for outcome in paid
            for key in self.simulated.refund_keys.get(outcome.provider_ref, ())
        ]
        return Books(
            charged=tuple(outcome.amount for outcome in paid),
            refunded=tuple(one.amount for one in refunds if isinstance(one, Succeeded)),
        )


# ---- the words of the imitated providers (payments.md §5) ----------------------------------
@pytest.mark.parametrize(
    ("provider_type", "word", "kind"),
    [
        ("stripe", "processing", Pending),
        ("stripe", "requires_capture", Pending),
        ("stripe", "requires_confirmation", Pending),
        ("stripe", "requires_action", ActionRequired),
        ("stripe", "requires_payment_method", Declined),
        ("stripe", "canceled", Declined),
        ("stripe", "succeeded", Succeeded),
        ("stripe", "pending", Pending),
        ("gocardless", "pending_customer_approval", Pending),
        ("gocardless", "submitted", Pending),
        ("gocardless", "paid_out", Succeeded),
        ("gocardless", "charged_back", Declined),
        ("adyen", "Received", Pending),
        ("adyen", "Authorised", Succeeded),
        ("adyen", "Refused", Declined),
        ("cashfree", "PARTIALLY_PAID", Pending),
        ("flutterwave", "successful", Succeeded),
        ("moneyhash", "PROCESSED", Succeeded),
        ("moneyhash", "FAILED", Declined),
    ],
)
async def test_each_word_means_what_the_provider_means(
    provider_type: str, word: str, kind: type[Outcome]
) -> None:
    config = msgspec.convert({"type": provider_type, "outcome": word}, SimulatedConfig)
    outcome = await SimulatedProvider().charge(ctx(config=config), request())
    assert type(outcome) is kind
    assert not isinstance(outcome, Unknown)
    assert outcome.provider_status == word


@pytest.mark.parametrize("settings", [{"outcome": "paid_out"}, {"outcome": ""}, {"type": "acme"}])
def test_an_unknown_word_is_refused_with_the_settings(settings: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, SimulatedConfig)


async def test_failed_is_a_decline_with_a_code() -> None:
    plain = await SimulatedProvider().charge(ctx("failed"), request())
    coded = await SimulatedProvider().charge(ctx("insufficient_funds"), request())
    assert isinstance(plain, Declined)
    assert isinstance(coded, Declined)
    assert (plain.code, plain.provider_status) == ("do_not_honor", "failed")
    assert (coded.code, coded.provider_status) == ("insufficient_funds", "failed")


async def test_a_new_outcome_counts_for_new_payments_only() -> None:
    provider = SimulatedProvider()
    first = await provider.charge(ctx("processing"), request())
    assert isinstance(first, Pending)
    again = await provider.charge(ctx("succeeded"), request())
    assert again == first
    assert isinstance(await provider.charge(ctx("succeeded", key="p2"), request()), Succeeded)


async def test_the_provider_reports_the_end_of_a_payment() -> None:
    provider = SimulatedProvider()
    opened = await provider.charge(ctx("processing"), request())
    assert isinstance(opened, Pending)
    event = provider.report(ctx("processing"), opened.provider_ref, "succeeded", now_us=5)
    assert (event.kind, event.provider_ref, event.occurred_at_us) == (
        "payment", opened.provider_ref, 5,
    )  # fmt: skip
    assert isinstance(event.outcome, Succeeded)
    assert event.outcome.amount == Money(1205, "EUR")
    assert await provider.fetch(ctx(), opened.provider_ref) == event.outcome
    again = provider.report(ctx("processing"), opened.provider_ref, "succeeded", now_us=6)
    assert again.event_id == event.event_id


async def test_a_report_in_an_unknown_word_is_refused() -> None:
    provider = SimulatedProvider()
    opened = await provider.charge(ctx("processing"), request())
    assert isinstance(opened, Pending)
    with pytest.raises(Misconfigured):
        provider.report(ctx(), opened.provider_ref, "vanished", now_us=5)
    with pytest.raises(Misconfigured):
        provider.report(ctx(), "pi_of_another_provider", "succeeded", now_us=5)


@pytest.mark.parametrize("word", ["succeeded", "processing", "requires_action", "failed"])
async def test_after_a_restart_the_same_call_gives_the_same_answer(word: str) -> None:
    first = await SimulatedProvider().charge(ctx(word), request())
    restarted = SimulatedProvider()
    assert not isinstance(first, Unknown)
    assert first.provider_ref is not None
    assert await restarted.fetch(ctx("succeeded"), first.provider_ref) == first
    assert await restarted.charge(ctx(word, attempt=2), request()) == first


@pytest.mark.parametrize("word", ["timeout", "timeout_applied"])
async def test_after_a_restart_a_lost_call_is_repeated_with_success(word: str) -> None:
    assert isinstance(await SimulatedProvider().charge(ctx(word), request()), Unknown)
    repeated = await SimulatedProvider().charge(ctx(word, attempt=2), request())
    assert isinstance(repeated, Succeeded)


async def test_a_connection_of_another_provider_is_misconfigured() -> None:
    with pytest.raises(Misconfigured):
        await SimulatedProvider().charge(ctx(config=ProviderConfig()), request())


async def test_unavailable_leaves_no_trace() -> None:
    provider = SimulatedProvider()
    with pytest.raises(ProviderUnavailable):
        await provider.charge(ctx("unavailable"), request())
    assert await provider.find_by_key(ctx(), "pay:charge:1") is None


@given(
    charged=st.integers(1, 1000),
    refunds=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(-5, 600)), max_size=12),
)
def test_refunds_never_create_money(charged: int, refunds: list[tuple[str, int]]) -> None:
    async def play() -> None:
        provider = SimulatedProvider()
        paid = await provider.charge(ctx(), request(charged))
        assert isinstance(paid, Succeeded)
        given_back: dict[str, int] = {}
        for key, minor in refunds:
            refund = await provider.refund(ctx(key=key), paid.provider_ref, Money(minor, "EUR"))
            if isinstance(refund, Succeeded):
                assert refund.amount.minor == given_back.get(key, minor) > 0
                given_back[key] = refund.amount.minor
        assert sum(given_back.values()) <= charged

    asyncio.run(play())
