"""Turns committed payment requests into charges, and what providers say into commands.

The cursor of the reactor moves over the log only past requests whose outcome is recorded, so a crash repeats a
request with the same idempotency key, after asking the provider what became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

import structlog
from msgspec.structs import replace

from lago_engine.domain.catalog.entities import PaymentConnection
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import (
    LinkProviderCustomer,
    RecordPaymentOutcome,
    RecordRefundOutcome,
)
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import CustomerState, Payment, Refund
from lago_engine.domain.events import (
    CustomerCreated,
    CustomerUpdated,
    DomainEvent,
    PaymentCancelRequested,
    PaymentRequested,
    RefundRequested,
)
from lago_engine.errors import UnavailableError
from lago_engine.payments.guarding import guarded
from lago_engine.payments.interface import (
    Capability,
    Ctx,
    Declined,
    Misconfigured,
    Money,
    Outcome,
    ProviderUnavailable,
    Unknown,
)
from lago_engine.payments.ledger_words import charge_request, customer_ref, ledger_outcome
from lago_engine.payments.registry import ProviderRegistry

log = structlog.get_logger(__name__)

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
        if isinstance(event, PaymentRequested | PaymentCancelRequested | RefundRequested):
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
        if isinstance(event, PaymentCancelRequested):
            return await self._cancel(request, event, attempt)
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
        await self._record_payment(request, event.customer, payment, outcome)
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
                known = await guarded(
                    provider.find_by_key(ctx, ctx.idempotency_key), self._deadline_s
                )
                if known is not None:
                    return known
            charged = await guarded(
                provider.charge(ctx, charge_request(payment, customer)), self._deadline_s
            )
            assert charged is not None
            return charged
        except Misconfigured as error:
            return Declined(code="other", message=str(error), provider_code="misconfigured")

    async def _cancel(self, request: Request, event: PaymentCancelRequested, attempt: int) -> bool:
        """Stop a payment whose invoice was voided, as soon as the provider has told what it calls it."""
        state = await self._ledger.customer_state(event.customer.id)
        payment = None if state is None else state.payments.get(event.payment.id)
        if payment is None:
            return True  # It ended by itself.
        if payment.provider_payment_id is None:
            return False
        assert payment.connection_code is not None
        organization = self._ledger.organization(request.organization_id)
        connection = organization.connections[payment.connection_code]
        provider = await self._registry.get(connection.provider)
        if Capability.CANCEL not in provider.capabilities:
            return True
        ctx = replace(
            self._ctx(connection, payment, attempt), idempotency_key=f"{payment.id}:cancel:1"
        )
        call = provider.cancel(ctx, payment.provider_payment_id)
        outcome = await guarded(call, self._deadline_s)
        if isinstance(outcome, Unknown):
            return False
        await self._record_payment(request, event.customer, payment, outcome)
        return True

    async def _record_payment(
        self, request: Request, customer: CustomerProfile, payment: Payment, outcome: Outcome
    ) -> None:
        command = RecordPaymentOutcome(
            organization_id=request.organization_id,
            customer_id=customer.id,
            payment_id=payment.id,
            outcome=ledger_outcome(outcome),
        )
        await self._ledger.execute(command, actor=ACTOR)

    async def _refund(self, request: Request, event: RefundRequested, attempt: int) -> bool:
        """Give money back. A repetition carries the same key, so that it is given back once."""
        refund, customer = event.refund, event.customer
        state = await self._ledger.customer_state(customer.id)
        open_one = None if state is None else state.refunds.get(refund.credit_note_id)
        if open_one is None or open_one.provider_refund_id:
            return True  # Done, or handed to the provider: its webhook tells the end.
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
            return await guarded(
                provider.refund(ctx, refund.provider_payment_id, amount), self._deadline_s
            )
        except Misconfigured as error:
            return Declined(code="other", message=str(error), provider_code="misconfigured")

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
        remote_id = await guarded(
            provider.ensure_customer(ctx, customer_ref(customer)), self._deadline_s
        )
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
