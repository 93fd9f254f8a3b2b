"""Turns committed payment requests into charges, and what providers say into commands.

The cursor of the reactor moves over the log only past requests whose outcome is recorded, so a crash repeats a
request with the same idempotency key, after asking the provider what became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeVar
from uuid import UUID

import structlog

from lago_engine.domain.catalog.entities import PaymentConnection
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import (
    LinkProviderCustomer,
    RecordPaymentOutcome,
    RecordRefundOutcome,
)
from lago_engine.domain.customer.payments import PaymentOutcome
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import CustomerState, Payment, Refund
from lago_engine.domain.events import (
    CustomerCreated,
    CustomerUpdated,
    DomainEvent,
    PaymentRequested,
    RefundRequested,
)
from lago_engine.domain.timezones import micros
from lago_engine.errors import LagoError, UnavailableError
from lago_engine.payments.interface import (
    ActionRequired,
    Capability,
    ChargeRequest,
    Ctx,
    CustomerRef,
    Declined,
    Misconfigured,
    Money,
    Outcome,
    Pending,
    ProviderUnavailable,
    RawWebhook,
    Succeeded,
    Unknown,
)
from lago_engine.payments.registry import ProviderRegistry

log = structlog.get_logger(__name__)
T = TypeVar("T")

CONCURRENT_MAX: Final = 32
BACKOFF_S_MAX: Final = 600
ACTOR: Final = "payments"


class Ledger(Protocol):
    """What the reactor needs of the engine."""

    def organization(self, organization_id: UUID) -> OrganizationState: ...

    async def customer_state(self, customer_id: UUID) -> CustomerState | None: ...

    async def execute(
        self,
        command: LinkProviderCustomer | RecordPaymentOutcome | RecordRefundOutcome,
        *,
        actor: str,
    ) -> Sequence[DomainEvent]: ...


class Request:
    """One thing to do for a committed event at `position`."""

    __slots__ = ("event", "organization_id", "position")

    def __init__(self, position: int, organization_id: UUID, event: DomainEvent) -> None:
        self.position = position
        self.organization_id = organization_id
        self.event = event


class PaymentReactor:
    """Runs the effects of payment events, each until its outcome is recorded."""

    def __init__(
        self,
        ledger: Ledger,
        registry: ProviderRegistry,
        *,
        backoff_s: float = 1.0,
        deadline_s: float = 20.0,
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._backoff_s = backoff_s
        self._deadline_s = deadline_s
        self._slots = asyncio.Semaphore(CONCURRENT_MAX)
        self._running: dict[asyncio.Task[None], Request] = {}
        self._waiting: set[asyncio.Task[None]] = set()
        self._seen = 0

    @property
    def cursor(self) -> int:
        """The log position up to which everything has been done."""
        open_positions = [request.position for request in self._running.values()]
        return min(open_positions) - 1 if open_positions else self._seen

    def concerns(self, event: DomainEvent) -> bool:
        """Whether the event asks for an effect."""
        if isinstance(event, PaymentRequested | RefundRequested):
            return True
        if isinstance(event, CustomerCreated | CustomerUpdated):
            link = event.customer.billing_configuration
            return link.sync_with_provider and link.provider_customer_id is None
        return False

    def saw(self, position: int) -> None:
        """The log was read up to `position`."""
        self._seen = max(self._seen, position)

    def accept(self, request: Request) -> None:
        """Start the effect of one event."""
        task = asyncio.create_task(self._do(request), name=f"payment-{request.position}")
        self._running[task] = request
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._waiting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("reaction_failed", error=repr(error))

    async def settle(self, organization_id: UUID) -> None:
        """Wait until nothing of the organization is under way; what waits for a retry is left to it."""
        while True:
            tasks = [
                task
                for task, request in self._running.items()
                if request.organization_id == organization_id and task not in self._waiting
            ]
            if not tasks:
                return
            await asyncio.wait(tasks, timeout=0.05, return_when=asyncio.ALL_COMPLETED)

    async def stop(self) -> None:
        """Abandon what is under way; the cursor makes the next start take it up again."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # --- effects -------------------------------------------------------------------------------

    async def _do(self, request: Request) -> None:
        """Repeat until done, with growing pauses while the provider or the engine is unavailable."""
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self._slots:
                    if await self._attempt(request, attempt):
                        return
            except (ProviderUnavailable, UnavailableError) as error:
                log.warning("reaction_delayed", error=str(error), attempt=attempt)
            await self._pause(min(self._backoff_s * 2 ** min(attempt - 1, 16), BACKOFF_S_MAX))

    async def _pause(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        await asyncio.sleep(seconds)
        self._waiting.discard(task)

    async def _attempt(self, request: Request, attempt: int) -> bool:
        """One try; True when there is nothing left to do."""
        event = request.event
        if isinstance(event, PaymentRequested):
            return await self._charge(request, event.payment, attempt)
        if isinstance(event, RefundRequested):
            return await self._refund(request, event, attempt)
        assert isinstance(event, CustomerCreated | CustomerUpdated)
        try:
            return await self._ensure_customer(request, event.customer)
        except Misconfigured as error:  # Nothing to wait for: a person must mend the connection.
            log.error("customer_not_linked", customer_id=str(event.customer.id), error=str(error))
            return True

    async def _charge(self, request: Request, payment: Payment, attempt: int) -> bool:
        event = request.event
        assert isinstance(event, PaymentRequested)
        state = await self._ledger.customer_state(event.customer.id)
        current = None if state is None else state.payments.get(payment.id)
        if current is None or current.provider_payment_id is not None:
            return True  # Settled, or handed to the provider: its webhook tells the end.
        assert payment.connection_code is not None
        connection = self._ledger.organization(request.organization_id).connections[
            payment.connection_code
        ]
        outcome = await self._ask(connection, payment, event.customer, attempt)
        if isinstance(outcome, Unknown):
            log.warning("payment_unknown", payment_id=str(payment.id), reason=outcome.reason)
            return False
        await self._ledger.execute(
            RecordPaymentOutcome(
                organization_id=request.organization_id,
                customer_id=event.customer.id,
                payment_id=payment.id,
                outcome=ledger_outcome(outcome),
            ),
            actor=ACTOR,
        )
        return True

    async def _ask(
        self,
        connection: PaymentConnection,
        payment: Payment,
        customer: CustomerProfile,
        attempt: int,
    ) -> Outcome:
        """Charge, or find out what an earlier try came to; never a second charge."""
        try:
            provider = await self._registry.get(connection.provider)
            ctx = self._ctx(connection, payment, attempt)
            if Capability.CHARGE_OFF_SESSION not in provider.capabilities:
                return Declined(
                    code="invalid_method", message="the provider cannot charge by itself"
                )
            if Capability.FIND_BY_KEY in provider.capabilities:
                # A fresh request costs a look-up too: after a restart nobody knows whether it is fresh.
                known = await self._guarded(provider.find_by_key(ctx, ctx.idempotency_key))
                if known is not None:
                    return known
            charged = await self._guarded(provider.charge(ctx, charge_request(payment, customer)))
            assert charged is not None
            return charged
        except Misconfigured as error:
            return Declined(code="other", message=str(error), provider_code="misconfigured")

    async def _refund(self, request: Request, event: RefundRequested, attempt: int) -> bool:
        """Give money back. A repetition carries the same key, so that it is given back once."""
        refund, customer = event.refund, event.customer
        state = await self._ledger.customer_state(customer.id)
        if state is None or refund.credit_note_id not in state.refunds:
            return True
        organization = self._ledger.organization(request.organization_id)
        connection = organization.connections[refund.connection_code]
        outcome = await self._ask_refund(connection, refund, attempt)
        if outcome is None:
            return True
        if isinstance(outcome, Unknown):
            log.warning("refund_unknown", credit_note_id=str(refund.credit_note_id))
            return False
        await self._ledger.execute(
            RecordRefundOutcome(
                organization_id=request.organization_id,
                customer_id=customer.id,
                credit_note_id=refund.credit_note_id,
                outcome=ledger_outcome(outcome),
            ),
            actor=ACTOR,
        )
        return True

    async def _ask_refund(
        self, connection: PaymentConnection, refund: Refund, attempt: int
    ) -> Outcome | None:
        """None: the provider cannot; somebody gives the money back by hand and says so."""
        try:
            provider = await self._registry.get(connection.provider)
            if Capability.REFUND_PARTIAL not in provider.capabilities:
                return None
            ctx = Ctx(
                config=self._registry.config(connection.provider, connection.config),
                idempotency_key=refund.idempotency_key,
                attempt=attempt,
                deadline_s=self._deadline_s,
                correlation_id=str(refund.credit_note_id),
            )
            amount = Money(refund.amount_cents, refund.amount_currency)
            return await self._guarded(provider.refund(ctx, refund.provider_payment_id, amount))
        except Misconfigured as error:
            return Declined(code="other", message=str(error), provider_code="misconfigured")

    async def _guarded(self, call: Awaitable[T]) -> T | Unknown:
        """A provider's answer in time, or Unknown: whatever happened, it may have been applied."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await call
        except TimeoutError:
            return Unknown(reason="the provider did not answer in time")
        except LagoError:
            raise
        except Exception as error:  # A plugin is somebody else's code.
            log.exception("provider_failed")
            return Unknown(reason=repr(error))

    async def _ensure_customer(self, request: Request, customer: CustomerProfile) -> bool:
        state = await self._ledger.customer_state(customer.id)
        link = None if state is None else state.profile.billing_configuration
        if link is None or not link.sync_with_provider or link.provider_customer_id is not None:
            return True
        connection = self._ledger.organization(request.organization_id).connections.get(
            link.payment_provider_code or ""
        )
        if connection is None:
            return True
        provider = await self._registry.get(connection.provider)
        ctx = Ctx(
            config=self._registry.config(connection.provider, connection.config),
            idempotency_key=f"{customer.id}:customer:1",
            deadline_s=self._deadline_s,
        )
        remote_id = await self._guarded(provider.ensure_customer(ctx, customer_ref(customer)))
        if isinstance(remote_id, Unknown):
            return False
        await self._ledger.execute(
            LinkProviderCustomer(
                organization_id=request.organization_id,
                customer_id=customer.id,
                provider_customer_id=remote_id,
            ),
            actor=ACTOR,
        )
        return True

    def _ctx(self, connection: PaymentConnection, payment: Payment, attempt: int) -> Ctx:
        assert payment.idempotency_key is not None
        return Ctx(
            config=self._registry.config(connection.provider, connection.config),
            idempotency_key=payment.idempotency_key,
            attempt=attempt,
            deadline_s=self._deadline_s,
            correlation_id=str(payment.id),
        )

    # --- news from providers -------------------------------------------------------------------

    async def webhook_events(
        self,
        connection: PaymentConnection,
        headers: Mapping[str, str],
        body: bytes,
        received_at: datetime,
    ) -> list[tuple[str | None, str | None, PaymentOutcome]]:
        """(payment id, provider reference, outcome) of each payment the webhook speaks of.

        Raises BadSignature (400) for what is unsigned, altered or too old.
        """
        provider = await self._registry.get(connection.provider)
        ctx = Ctx(config=self._registry.config(connection.provider, connection.config))
        hook = RawWebhook(
            headers={name.lower(): value for name, value in headers.items()},
            body=body,
            received_at_us=micros(received_at),
        )
        return [
            (event.payment_id, event.provider_ref, ledger_outcome(event.outcome))
            for event in provider.verify_webhook(ctx, hook)
            if event.kind == "payment"
            and event.outcome is not None
            and not isinstance(event.outcome, Unknown)
        ]


def charge_request(payment: Payment, customer: CustomerProfile) -> ChargeRequest:
    """What the provider is asked to collect."""
    return ChargeRequest(
        payment_id=str(payment.id),
        amount=Money(payment.amount_cents, payment.amount_currency),
        customer=customer_ref(customer),
        invoice_ids=(str(payment.invoice_id),),
        description=f"Invoice {payment.invoice_number}",
        metadata={
            "lago_payment_id": str(payment.id),
            "lago_invoice_id": str(payment.invoice_id),
            "lago_customer_id": str(customer.id),
        },
    )


def customer_ref(customer: CustomerProfile) -> CustomerRef:
    """Who pays, as providers see it."""
    return CustomerRef(
        lago_id=str(customer.id),
        external_id=customer.external_id,
        email=customer.email,
        name=customer.name or customer.legal_name,
        provider_customer_id=customer.billing_configuration.provider_customer_id,
    )


def ledger_outcome(outcome: Outcome) -> PaymentOutcome:
    """A provider's outcome as the ledger keeps it (payments.md §5)."""
    match outcome:
        case Succeeded():
            return PaymentOutcome(
                status=outcome.provider_status,
                payment_status="succeeded",
                provider_payment_id=outcome.provider_ref,
            )
        case Pending():
            return PaymentOutcome(
                status=outcome.provider_status,
                payment_status="processing",
                provider_payment_id=outcome.provider_ref,
            )
        case ActionRequired():
            return PaymentOutcome(
                status=outcome.provider_status,
                payment_status="processing",
                provider_payment_id=outcome.provider_ref,
                action_url=outcome.url,
            )
        case Declined():
            return PaymentOutcome(
                status=outcome.provider_status,
                payment_status="failed",
                provider_payment_id=outcome.provider_ref,
                error_code=outcome.provider_code or outcome.code,
                error_message=outcome.message,
            )
        case Unknown():
            raise AssertionError("an unknown outcome is reconciled, not recorded")
