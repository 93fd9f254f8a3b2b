"""The engine: one partition with everything that surrounds it, behind the port that the API uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import msgspec
import structlog

from lago_engine.actors.asked_usage import AskedFolds
from lago_engine.actors.committing import Committed
from lago_engine.actors.mailbox import Command
from lago_engine.actors.partition import IngestAnswer, Partition
from lago_engine.actors.previewing import preview
from lago_engine.actors.usage import WindowNotReady
from lago_engine.audit.explain import InvoiceExplained, explain_stored
from lago_engine.documents.issuing import DocumentIssuer
from lago_engine.documents.stored import stored_pdf
from lago_engine.domain.catalog.entities import PaymentConnection
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import (
    CreateSubscription,
    DeleteCustomer,
    FollowPlan,
    LeavePlan,
    RecordPaymentLink,
    RecordPaymentOutcome,
    RecordRefundOutcome,
    TerminateSubscription,
    UpdateSubscription,
    UpsertCustomer,
)
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.fee_estimates import estimate_fees
from lago_engine.domain.customer.ongoing import ongoing_usage
from lago_engine.domain.customer.payment_links import wanted_link
from lago_engine.domain.customer.payments import PaymentOutcome
from lago_engine.domain.customer.preview_input import customer_key
from lago_engine.domain.customer.state import CustomerState, PaymentLink, Subscription
from lago_engine.domain.events import DomainEvent, FeeCreated, WalletCreated, WebhookEndpointDeleted
from lago_engine.domain.invoicing.issued import DocumentKind, issuer_of
from lago_engine.domain.rating.current_usage import current_usage
from lago_engine.domain.rating.projected_usage import projected_usage
from lago_engine.domain.rating.usage_question import (
    AskedUsage,
    UsageQuestion,
    Used,
    ask_usage,
    narrowed,
)
from lago_engine.domain.rating.window_usage import usage_in
from lago_engine.errors import BadRequest, NotAllowed, NotFound, UnavailableError
from lago_engine.metering import evaluate_expression, expression_problem, scan_events
from lago_engine.payments.checkout import open_page
from lago_engine.payments.inbound import News, read_webhook
from lago_engine.payments.reactor import PaymentReactor, Request
from lago_engine.payments.registry import ProviderRegistry
from lago_engine.projecting.presenting import PreviewedInvoice
from lago_engine.projecting.wallets import ongoing_members
from lago_engine.projecting.wire import members, read_string
from lago_engine.scheduling.plan_follower import PlanFollower
from lago_engine.scheduling.scheduler import Scheduler
from lago_engine.scheduling.wallet_watch import WalletWatch
from lago_engine.store.documents import Filter, Query
from lago_engine.store.port import Store
from lago_engine.store.segments import stored_segments

log = structlog.get_logger(__name__)
T = TypeVar("T")

AFTER_WHAT_IS_DUE: Final = (
    CreateSubscription,
    DeleteCustomer,
    FollowPlan,
    LeavePlan,
    TerminateSubscription,
    UpdateSubscription,
    UpsertCustomer,
)
"""Commands that decide from now on what is billed, so that earlier periods must have been billed."""
PAYMENTS_CURSOR: Final = "reactor:payments"
CATALOG_CURSOR: Final = "reactor:catalog"
WALLETS_AT_ONCE: Final = 1_000
DOCUMENTS_CURSOR: Final = "reactor:documents"
CURSOR_EVERY_S: Final = 1.0


class Reactor(Protocol):
    """Carries out what committed events ask for, each until it is done."""

    @property
    def cursor(self) -> int: ...
    def concerns(self, event: DomainEvent) -> bool: ...
    def saw(self, position: int) -> None: ...
    def accept(self, request: Request, /) -> None: ...


class Engine:
    """Everything a request can ask for. Made by `lago_engine.bootstrap.open_engine`."""

    def __init__(
        self,
        partition: Partition,
        registry: ProviderRegistry,
        reactor: PaymentReactor,
        scheduler: Scheduler,
        *,
        document_workers: int,
    ) -> None:
        self.partition = partition
        self.registry = registry
        self.reactor = reactor
        self.scheduler = scheduler
        self.follower = PlanFollower(self)
        self.wallet_watch = WalletWatch(self)
        self.documents = DocumentIssuer(self, workers=document_workers)
        self._asked_folds = AskedFolds(partition.meter, partition.store)
        self._keys: dict[str, tuple[UUID, datetime | None]] = {}
        self._position = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._forgetting: set[asyncio.Task[int]] = set()

    @property
    def store(self) -> Store:
        return self.partition.store

    @property
    def refolds(self) -> Mapping[str, int]:
        """Usage windows that wait for the log, are being folded from it, and were since the start."""
        return self.partition.refolder.progress._asdict()

    # --- life ----------------------------------------------------------------------------------

    async def start(self, position: int) -> None:
        """Take up what was under way at `position`, then take commands."""
        self._position = position
        self._learn_keys()
        self.partition.listeners.append(self._on_commit)
        self.partition.start()
        await self._resume_reactions(position)
        await self._watch_wallets()
        self._tasks = [
            asyncio.create_task(self.scheduler.run(), name="scheduler"),
            asyncio.create_task(self._keep_cursors(), name="reactor-cursors"),
            asyncio.create_task(self.wallet_watch.run(), name="wallets"),
        ]

    async def stop(self) -> None:
        """Stop reacting, finish what waits, keep the cursor."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._forgetting)
        cursors = self._cursors()
        await self.documents.stop()
        await self.follower.stop()
        await self.reactor.stop()
        await self.partition.stop()
        self._put_cursors(cursors)

    def _reactors(self) -> tuple[tuple[str, Reactor], ...]:
        """What turns committed events into further commands or effects, by where its cursor is kept."""
        return (
            (PAYMENTS_CURSOR, self.reactor),
            (CATALOG_CURSOR, self.follower),
            (DOCUMENTS_CURSOR, self.documents),
        )

    async def _resume_reactions(self, position: int) -> None:
        for name, reactor in self._reactors():
            raw = await self.partition.read(self.store.meta_get, name)
            cursor = int(raw) if raw is not None else 0
            reactor.saw(position)
            for request in await self.partition.read(
                self._requests_after, reactor, cursor, position
            ):
                reactor.accept(request)

    def _requests_after(self, reactor: Reactor, cursor: int, position: int) -> list[Request]:
        """What log rows after the cursor ask of a reactor."""
        found = []
        for row in self.store.iter_log(cursor):
            if row.position > position:
                break
            decoded = self.partition.decode(row)
            if decoded is not None and reactor.concerns(decoded[1]):
                envelope, event = decoded
                found.append(Request(row.position, envelope.organization_id, event))
        return found

    async def _watch_wallets(self) -> None:
        """Find the customers that have wallets."""
        for organization_id in self.partition.residents.organizations:
            offset, found = 0, [b""]
            while found:
                query = Query(
                    filters=(Filter("status", "eq", "active"),),
                    order=(("position", "asc"),),
                    offset=offset,
                    limit=WALLETS_AT_ONCE,
                )
                found, _ = await self.partition.read(
                    self.store.documents.list, organization_id, "wallet", query
                )
                offset += len(found)
                for body in found:
                    customer_id = UUID(read_string(members(body)["lago_customer_id"]))
                    self.wallet_watch.watch(organization_id, customer_id)

    def head_version(self, customer_id: UUID) -> int:
        """The latest committed version of a customer's stream, usage included."""
        return self.partition.meter.head(customer_id)[0]

    def _on_commit(self, committed: Committed) -> None:
        first = self._position + 1
        self._position = committed.last_position
        for fact in committed.facts:
            for _, reactor in self._reactors():
                if reactor.concerns(fact.event):
                    reactor.accept(Request(first, fact.envelope.organization_id, fact.event))
            if isinstance(fact.event, WalletCreated):
                self.wallet_watch.watch(fact.envelope.organization_id, fact.stream_id)
            if isinstance(fact.event, WebhookEndpointDeleted):
                self._forget_deliveries(fact.event.endpoint.id)
        for _, reactor in self._reactors():
            reactor.saw(committed.last_position)
        if any(fact.organization.organization.id == fact.stream_id for fact in committed.facts):
            self._learn_keys()

    def _forget_deliveries(self, endpoint_id: UUID) -> None:
        """A deleted endpoint takes its delivery log with it (api_conventions.md §9)."""
        task = asyncio.create_task(
            self.partition.read(self.store.outbox.delete_endpoint, endpoint_id)
        )
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)

    async def _keep_cursors(self) -> None:
        """Save the cursors of the reactors now and then; an older one only repeats look-ups."""
        saved: dict[str, int] = {}
        while True:
            await asyncio.sleep(CURSOR_EVERY_S)
            cursors = self._cursors()
            if cursors != saved:
                await self.partition.read(self._put_cursors, cursors)
                saved = cursors

    def _cursors(self) -> dict[str, int]:
        return {name: reactor.cursor for name, reactor in self._reactors()}

    def _put_cursors(self, cursors: Mapping[str, int]) -> None:
        try:
            for name, cursor in cursors.items():
                self.store.meta_put(name, str(cursor).encode())
        except UnavailableError as error:  # The one saved before costs look-ups, nothing else.
            log.warning("cursor_not_saved", error=str(error))

    # --- keys and clocks -----------------------------------------------------------------------

    def _learn_keys(self) -> None:
        self._keys = {
            key.key_hash: (organization_id, key.expires_at)
            for organization_id, state in self.partition.residents.organizations.items()
            for key in state.api_keys.values()
        }

    def authenticate(self, key: str) -> UUID | None:
        """The organization of a live API key."""
        found = self._keys.get(sha256(key.encode()).hexdigest())
        if found is None:
            return None
        organization_id, expires_at = found
        if expires_at is not None and expires_at <= self.partition.clock.now():
            return None
        return organization_id

    def organization(self, organization_id: UUID) -> OrganizationState:
        return self.partition.organization(organization_id)

    def now(self, organization_id: UUID) -> datetime:
        return self.partition.now(organization_id)

    # --- commands and usage --------------------------------------------------------------------

    async def execute(self, command: Command, *, actor: str) -> Sequence[DomainEvent]:
        if isinstance(command, AFTER_WHAT_IS_DUE):
            await self.scheduler.catch_up_customer(command.organization_id, command.customer_id)
        return await self.partition.execute(command, actor=actor)

    async def read(self, function: Callable[..., T], *args: object) -> T:
        """Run a blocking read of the store off the loop."""
        return await self.partition.read(function, *args)

    async def ingest(
        self, organization_id: UUID, body: bytes, *, single: bool, partial: bool = False
    ) -> IngestAnswer:
        answer = await self.partition.ingest(organization_id, body, single=single, partial=partial)
        if self.organization(organization_id).organization.test:
            await self.settle(organization_id)
        return answer

    async def settle(self, organization_id: UUID) -> None:
        """Return when everything that earlier commands set off has happened."""
        await self.partition.billing_at_once.settle(organization_id)
        await self.wallet_watch.settle(organization_id)
        await self.follower.settle(organization_id)
        await self.reactor.settle(organization_id)

    async def run_tasks(self, organization_id: UUID, tasks: Sequence[str]) -> None:
        await self.scheduler.run_tasks(organization_id, tasks)
        await self.settle(organization_id)

    async def advance(self, organization_id: UUID, to: datetime) -> Mapping[str, int]:
        return await self.scheduler.advance(organization_id, to)

    # --- reads ---------------------------------------------------------------------------------

    async def booked(self, customer_id: UUID, idempotency_key: str) -> Sequence[UUID]:
        """Ids of what an earlier request of the customer booked under this key."""
        state = await self.partition.customer_state(customer_id)
        assert state is not None
        return state.booked[idempotency_key].made

    async def customer(self, organization_id: UUID, external_id: str) -> CustomerState | None:
        customer_id = self.organization(organization_id).customer_id(external_id)
        return await self.partition.customer_state(customer_id)

    async def customer_by_id(self, customer_id: UUID) -> CustomerState | None:
        return await self.partition.customer_state(customer_id)

    async def current_usage(
        self,
        organization_id: UUID,
        external_customer_id: str,
        external_subscription_id: str,
        question: UsageQuestion,
    ) -> Mapping[str, Any]:
        """The `customer_usage` object of the running period."""
        wanted = organization_id, external_customer_id, external_subscription_id
        return current_usage(*await self._used(*wanted, question))

    async def ongoing_balances(
        self, organization_id: UUID, external_customer_id: str
    ) -> Mapping[UUID, Mapping[str, Any]]:
        """By active wallet: the members that say what is left when usage that is not billed yet is counted."""
        customer_id = self.organization(organization_id).customer_id(external_customer_id)
        await self.partition.billing_at_once.settle_customer(customer_id)
        while True:
            state = await self.partition.customer_state(customer_id)
            if state is None:
                return {}
            organization = self.organization(organization_id)
            read = self.partition.usage.read
            try:
                usage = ongoing_usage(state, organization, read, now=self.now(organization_id))
            except WindowNotReady as missing:
                await self.partition.complete(missing.window)
                continue
            return {
                wallet_id: ongoing_members(state.wallets[wallet_id], cents)
                for wallet_id, cents in usage.items()
            }

    async def projected_usage(
        self,
        organization_id: UUID,
        external_customer_id: str,
        external_subscription_id: str,
        *,
        apply_taxes: bool,
    ) -> Mapping[str, Any]:
        """The `customer_projected_usage` object of the running period."""
        question = UsageQuestion(apply_taxes=apply_taxes)
        wanted = organization_id, external_customer_id, external_subscription_id
        return projected_usage(*await self._used(*wanted, question))

    async def _used(
        self,
        organization_id: UUID,
        external_customer_id: str,
        external_subscription_id: str,
        question: UsageQuestion,
    ) -> tuple[AskedUsage, Used]:
        """A question with the usage that answers it: from the open window if that tells, else from the log."""
        # What is billed at once shows in the usage it was billed for.
        await self.partition.billing_at_once.settle_customer(
            self.organization(organization_id).customer_id(external_customer_id)
        )
        while True:
            state = await self.customer(organization_id, external_customer_id)
            if state is None:
                raise NotFound("customer")
            asked = ask_usage(
                state,
                self.organization(organization_id),
                _active(state, external_subscription_id),
                question,
                now=self.now(organization_id),
            )
            try:
                used = self._narrowed(asked)
            except WindowNotReady as missing:
                await self.partition.complete(missing.window)
                continue
            if used is None:
                used = await self.partition.read(self._asked_folds.read, asked)
            return asked, used

    def _narrowed(self, asked: AskedUsage) -> Used | None:
        """What the open window tells. Raises WindowNotReady."""
        if not asked.plan.charges:
            return {}
        if asked.question.full:
            return None
        window = asked.start, asked.end
        read = self.partition.usage.read
        used = usage_in(read, asked.plan, asked.subject, asked.subscription.id, window)
        return narrowed(asked, used)

    async def estimate_fees(
        self,
        organization_id: UUID,
        external_customer_id: str,
        subscription_id: UUID,
        event: bytes,
    ) -> Sequence[bytes]:
        """The `fee` documents that an event (a JSON object) would have if it came now; nothing is stored."""
        # An event is billed on top of those that came before it.
        await self.partition.billing_at_once.settle_customer(
            self.organization(organization_id).customer_id(external_customer_id)
        )
        while True:
            state = await self.customer(organization_id, external_customer_id)
            decision = Decision(
                state,
                self.organization(organization_id),
                now=self.now(organization_id),
                usage=self.partition.usage.read,
                in_advance=self.partition.pending,
            )
            try:
                fees = list(
                    estimate_fees(decision, subscription_id, event, self.partition.pending.foreseen)
                )
            except WindowNotReady as missing:
                await self.partition.complete(missing.window)
                continue
            imagined = [
                self.partition.imagine(organization_id, FeeCreated(fee=fee), decision.now)
                for fee in fees
            ]
            return [
                change.body
                for changes in imagined
                for change in changes
                if change.kind == "fee" and change.body is not None
            ]

    def expression_problem(self, text: str) -> str | None:
        """Why the text is no expression of the metric language; None if it is one."""
        return expression_problem(text)

    def evaluate_expression(
        self, text: str, *, code: str, timestamp_us: int, properties: bytes
    ) -> tuple[str | None, str | None]:
        """What an expression gives for one event (properties: a JSON object), or why it fails."""
        return evaluate_expression(
            text, code=code, timestamp_us=timestamp_us, properties=properties
        )

    async def scan_events(
        self,
        organization_id: UUID,
        *,
        code: str | None,
        external_subscription_id: str | None,
        transaction_id: str | None,
        from_us: int | None,
        to_us: int | None,
        offset: int,
        limit: int,
    ) -> tuple[int, bytes]:
        """How many stored usage events match, and the page of them as a JSON array."""
        meter = self.partition.meter
        if external_subscription_id is None:
            numbers = meter.segments_of_organization(organization_id, from_us=from_us, to_us=to_us)
        else:
            numbers = meter.segments_of(organization_id, external_subscription_id)
        search = partial(
            scan_events,
            organization_id,
            stored_segments(self.store, numbers),
            code=code,
            external_subscription_id=external_subscription_id,
            transaction_id=transaction_id,
            from_us=from_us,
            to_us=to_us,
            offset=offset,
            limit=limit,
        )
        return await self.partition.read(search)

    async def document_pdf(
        self, organization_id: UUID, kind: DocumentKind, document_id: UUID
    ) -> bytes:
        """The file of a finalized or voided invoice, or of a credit note. Raises NotFound."""
        issuer = issuer_of(self.organization(organization_id).organization)
        wanted = self.store, organization_id, kind, document_id, issuer
        return await self.partition.read(stored_pdf, *wanted)

    async def preview_invoice(
        self, organization_id: UUID, given: Mapping[str, Any]
    ) -> PreviewedInvoice:
        """The invoice that would follow from what a request supposes, as its documents would be. Stores nothing."""
        customer_id = self.organization(organization_id).customer_id(customer_key(given))
        await self.scheduler.catch_up_customer(organization_id, customer_id)
        return await preview(self.partition, organization_id, customer_id, given)

    async def explain_invoice(self, organization_id: UUID, invoice_id: UUID) -> InvoiceExplained:
        """Where every amount of an invoice comes from; reads only the segments of its subscriptions. Raises NotFound."""

        def segments_of(organization_id: UUID, external_subscription_id: str) -> Iterator[bytes]:
            numbers = self.partition.meter.segments_of(organization_id, external_subscription_id)
            return stored_segments(self.store, numbers)

        wanted = self.store, organization_id, invoice_id, segments_of
        return await self.partition.read(explain_stored, *wanted)

    # --- providers -----------------------------------------------------------------------------

    async def provider_webhook(
        self,
        provider: str,
        organization_id: UUID,
        code: str | None,
        headers: Mapping[str, str],
        body: bytes,
    ) -> int:
        """Take in what a payment provider posted; the HTTP status it is answered with."""
        state = self.partition.residents.organizations.get(organization_id)
        connection = None if state is None else _connection(state, provider, code)
        if connection is None:
            return 400
        now = self.partition.clock.now()
        try:
            told = await read_webhook(self.registry, connection, headers, body, now)
        except BadRequest:
            return 400
        for news in told:
            await self._record(organization_id, news)
        return 200

    async def _record(self, organization_id: UUID, news: News) -> None:
        """What nobody here knows is ignored (payments.md §11)."""
        found = await self.partition.read(self._concerned, organization_id, news)
        if found is None:
            return
        customer_id, own_id = found
        if news.kind == "payment":
            await self.report_payment(organization_id, customer_id, own_id, news.outcome)
            return
        command = RecordRefundOutcome(
            organization_id=organization_id,
            customer_id=customer_id,
            credit_note_id=own_id,
            outcome=news.outcome,
        )
        await self.execute(command, actor="provider")

    async def report_payment(
        self,
        organization_id: UUID,
        customer_id: UUID,
        payment_id: UUID,
        outcome: PaymentOutcome,
    ) -> None:
        """A provider's news about one payment."""
        command = RecordPaymentOutcome(
            organization_id=organization_id,
            customer_id=customer_id,
            payment_id=payment_id,
            outcome=outcome,
        )
        await self.execute(command, actor="provider")

    def _concerned(self, organization_id: UUID, news: News) -> tuple[UUID, UUID] | None:
        """(customer id, id of the payment or credit note)."""
        get = partial(self.store.documents.get, organization_id)
        body = None
        if news.kind == "refund":
            body = get("refund", news.provider_ref or "")
        elif news.payment_id is not None:
            body = get("payment", news.payment_id) or get("payment_link", news.payment_id)
        elif news.provider_ref is not None:
            reference = Filter("provider_payment_id", "eq", news.provider_ref)
            query = Query(filters=(reference,), limit=1)
            bodies, _ = self.store.documents.list(organization_id, "payment", query)
            body = bodies[0] if bodies else None
        if body is None:
            return None
        known = msgspec.json.decode(body)
        return UUID(known["lago_customer_id"]), UUID(known["lago_id"])

    async def payment_page(
        self, organization_id: UUID, customer_id: UUID, invoice_id: UUID, return_url: str
    ) -> PaymentLink:
        """The hosted page on which an invoice can be paid; a new one if there is none that is still good."""
        state = await self.partition.customer_state(customer_id)
        organization = self.organization(organization_id)
        link = wanted_link(state, organization, invoice_id, self.now(organization_id))
        if link.url:
            return link
        assert state is not None
        connection = organization.connections[link.payment.connection_code or ""]
        link = await open_page(self.registry, connection, link, state.profile, return_url)
        command = RecordPaymentLink(
            organization_id=organization_id, customer_id=customer_id, link=link
        )
        await self.execute(command, actor="payments")
        return link


def _active(state: CustomerState, external_id: str) -> Subscription:
    for subscription in state.subscriptions.values():
        if subscription.external_id == external_id and subscription.status == "active":
            return subscription
    raise NotAllowed("no_active_subscription")


def _connection(
    state: OrganizationState, provider: str, code: str | None
) -> PaymentConnection | None:
    """The only connection of a provider, or the one with the code."""
    found = [
        connection
        for connection in state.connections.values()
        if connection.provider == provider and (code is None or connection.code == code)
    ]
    return found[0] if len(found) == 1 else None
