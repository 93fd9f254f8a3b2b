"""The log read again from its first event: states, documents and every invoice, compared with what is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from lago_engine.actors.directory import Directory
from lago_engine.actors.pending import ChangeNotReady, PendingReader
from lago_engine.actors.streams import CUSTOMER_EVENTS
from lago_engine.actors.usage import UsageWindows, WindowNotReady
from lago_engine.audit.recompute import (
    BILLING_EVENTS,
    CREDIT_EVENTS,
    WALLET_EVENTS,
    BillingEvent,
    CreditEvent,
    WalletEvent,
    recompute,
    recompute_credit,
    recompute_wallet,
)
from lago_engine.documents.stored import can_repeat, repeated_sha256
from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.evolve import evolve_customer
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.customer.windows import UsageWindow, open_usage_windows
from lago_engine.domain.events import (
    CreditNoteCreated,
    DocumentGenerated,
    DomainEvent,
    FeeCreated,
    WalletTransactionCreated,
)
from lago_engine.domain.invoicing.issued import GeneratedDocument
from lago_engine.domain.timezones import from_micros
from lago_engine.metering import Meter
from lago_engine.projecting.inline import InlineRunner
from lago_engine.projecting.memory import MemoryDocuments, differences
from lago_engine.projecting.projection import Projection
from lago_engine.store.codec import Envelope, EventCodec, unpack_state
from lago_engine.store.port import USAGE_SEGMENT_TOPIC, LogRow, Store

Progress = Callable[[int], None]

DIFFERENCES_MAX = 1_000


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the log says differently from what is stored, or from what was decided.

    kind: `invoice`, `fee`, `pdf`, `document` or `commit`. where: what it is about. stored, replayed: JSON text.
    """

    kind: str
    where: str
    stored: str | None
    replayed: str | None


class Report(msgspec.Struct, kw_only=True):
    """What a replay covered; fees: those that stand alone. pdfs: made again and compared; pdfs_of_others: not, because
    another template or compiler had made them. `mismatches` holds the first `DIFFERENCES_MAX` of `mismatch_count`."""

    commits: int = 0
    facts: int = 0
    usage_events: int = 0
    invoices: int = 0
    fees: int = 0
    documents: int = 0
    pdfs: int = 0
    pdfs_of_others: int = 0
    mismatch_count: int = 0
    mismatches: list[Mismatch] = []

    @property
    def identical(self) -> bool:
        return self.mismatch_count == 0

    def add(self, mismatch: Mismatch) -> None:
        self.mismatch_count += 1
        if len(self.mismatches) < DIFFERENCES_MAX:
            self.mismatches.append(mismatch)


def replay(
    store: Store,
    codec: EventCodec,
    projections: Sequence[Projection],
    secret: bytes,
    progress: Progress | None = None,
    *,
    pdfs: bool = False,
) -> Report:
    """Fold the whole log with the code of today; reads only. pdfs: make every PDF again, too. Raises CorruptionError for a broken log."""
    run = _Run(store, codec, projections, secret, pdfs=pdfs)
    for commit, rows in store.iter_commits():
        run.commit(rows, commit.seq, commit.hash)
        if progress is not None:
            progress(commit.last_position)
    return run.finish(projections)


class _Run:
    def __init__(
        self,
        store: Store,
        codec: EventCodec,
        projections: Sequence[Projection],
        secret: bytes,
        *,
        pdfs: bool,
    ) -> None:
        self._pdfs = pdfs
        self.report = Report()
        self._store = store
        self._codec = codec
        self._meter = Meter(secret)
        self._directory = Directory(self._meter)
        self._usage = UsageWindows(self._meter, store)
        self._pending = PendingReader(self._meter, store)
        self._documents = MemoryDocuments()
        self._runner = InlineRunner(projections, self._documents)
        self._organizations: dict[UUID, OrganizationState] = {}
        self._customers: dict[UUID, CustomerState | None] = {}
        self._windows: dict[UUID, set[UsageWindow]] = {}

    def commit(self, rows: Sequence[LogRow], seq: int, stored_hash: bytes) -> None:
        """One commit in the order in which it happened: facts, then the usage that came with them."""
        applied: list[tuple[DomainEvent, OrganizationState]] = []
        heads: list[tuple[UUID, int, bytes]] = []
        touched: dict[UUID, None] = {}
        for row in rows:
            if row.topic == USAGE_SEGMENT_TOPIC:
                continue
            chained, body = unpack_state(row.state)
            envelope, event = self._codec.decode(row.topic, body)
            applied.append((event, self._fact(row, body, envelope, event)))
            heads.append((row.stream_id, row.version, chained))
            if isinstance(event, CUSTOMER_EVENTS):
                touched[row.stream_id] = None
        self._meter.apply_facts(heads)
        # Metering learns of a commit's facts after all its decisions were taken, as it did live.
        for event, organization in applied:
            self._directory.apply(event, organization)
        for customer_id in touched:
            self._open_windows(customer_id)
        for row in rows:
            if row.topic == USAGE_SEGMENT_TOPIC:
                self._meter.apply_segment(row.state)
        self._meter.apply_commit(seq, stored_hash)
        self._documents.write(self._runner.take_changes())
        self._runner.commit()
        self.report.commits += 1
        self.report.facts += len(applied)

    def _fact(
        self, row: LogRow, body: bytes, envelope: Envelope, event: DomainEvent
    ) -> OrganizationState:
        """Decide again what was decided, then fold and project it; the organization after it."""
        before = self._organizations.get(envelope.organization_id)
        if isinstance(event, BILLING_EVENTS):
            assert before is not None
            self._recompute(row, body, envelope, event, before)
        elif isinstance(event, CREDIT_EVENTS):
            assert before is not None
            self._recompute_credit(row, body, envelope, event, before)
        elif isinstance(event, DocumentGenerated) and self._pdfs:
            self._print_again(row, envelope, event.document)
        elif isinstance(event, WALLET_EVENTS):
            assert before is not None
            self._recompute_wallet(row, body, envelope, event, before)
        organization = evolve_organization(before, event)
        self._organizations[envelope.organization_id] = organization
        if isinstance(event, CUSTOMER_EVENTS):
            state = self._customers.get(row.stream_id)
            self._customers[row.stream_id] = evolve_customer(state, event)
        self._runner.apply(envelope, event, organization)
        return organization

    def _recompute(
        self,
        row: LogRow,
        body: bytes,
        envelope: Envelope,
        event: BillingEvent,
        organization: OrganizationState,
    ) -> None:
        state = self._customers[row.stream_id]
        assert state is not None
        decided = self._decide(event, state, organization)
        if isinstance(event, FeeCreated):
            self.report.fees += 1
        else:
            self.report.invoices += 1
        self._compare(row, body, envelope, decided, _named(event))

    def _recompute_credit(
        self,
        row: LogRow,
        body: bytes,
        envelope: Envelope,
        event: CreditEvent,
        organization: OrganizationState,
    ) -> None:
        state = self._customers[row.stream_id]
        assert state is not None
        at = from_micros(envelope.occurred_at_us)
        decided = recompute_credit(event, state, organization, at)
        self._compare(row, body, envelope, decided, _credited(event))

    def _print_again(self, row: LogRow, envelope: Envelope, generated: GeneratedDocument) -> None:
        """The PDF of what the documents say at this place of the log."""
        if not can_repeat(generated):
            self.report.pdfs_of_others += 1
            return
        body = self._documents.get(envelope.organization_id, generated.kind, str(generated.id))
        again = None if body is None else repeated_sha256(generated, body)
        self.report.pdfs += 1
        if again != generated.sha256:
            where = f"{generated.kind} {generated.number}, log position {row.position}"
            self.report.add(
                Mismatch(kind="pdf", where=where, stored=generated.sha256, replayed=again)
            )

    def _recompute_wallet(
        self,
        row: LogRow,
        body: bytes,
        envelope: Envelope,
        event: WalletEvent,
        organization: OrganizationState,
    ) -> None:
        state, at = self._customers[row.stream_id], from_micros(envelope.occurred_at_us)
        assert state is not None
        decided: DomainEvent | None = None
        ready = False
        while not ready:
            try:
                decided = recompute_wallet(event, state, organization, self._usage.read, at)
                ready = True
            except WindowNotReady as missing:
                self._usage.fold(missing.window)
        self._compare(row, body, envelope, decided, f"wallet {event.wallet.id}")

    def _compare(
        self, row: LogRow, body: bytes, envelope: Envelope, decided: DomainEvent | None, of: str
    ) -> None:
        """Report when what is decided now is not what was stored."""
        again = b"" if decided is None else self._codec.encode(envelope, decided)[1]
        if again != body:
            self.report.add(
                Mismatch(
                    kind="fee" if of.startswith("fee") else "invoice",
                    where=f"{row.topic} of {of}, log position {row.position}",
                    stored=body[1:].decode(),
                    replayed=again[1:].decode() or None,
                )
            )

    def _decide(
        self, event: BillingEvent, state: CustomerState, organization: OrganizationState
    ) -> DomainEvent | None:
        while True:
            try:
                return recompute(event, state, organization, self._usage.read, self._pending)
            except ChangeNotReady as missing:
                self._pending.trace(missing.window)
            except WindowNotReady as missing:
                self._usage.fold(missing.window)

    def _open_windows(self, customer_id: UUID) -> None:
        state = self._customers[customer_id]
        if state is None:
            return
        organization = self._organizations[state.profile.organization_id]
        needed = open_usage_windows(state, organization)
        before = self._windows.get(customer_id, set())
        self._usage.open(needed - before)
        self._usage.close(before - needed)
        self._windows[customer_id] = needed

    def finish(self, projections: Sequence[Projection]) -> Report:
        """Compare the documents that came out with the stored ones."""
        kinds = [kind for projection in projections for kind in projection.kinds]
        for difference in differences(self._documents, self._store.documents, kinds):
            where = difference.organization_id, difference.kind, difference.key
            stored = self._store.documents.get(*where)
            replayed = self._documents.get(*where)
            self.report.add(
                Mismatch(
                    kind="document",
                    where=f"{difference.kind} {difference.key} ({difference.problem})",
                    stored=None if stored is None else stored.decode(),
                    replayed=None if replayed is None else replayed.decode(),
                )
            )
        self.report.documents = len(self._documents)
        self.report.usage_events = self._meter.stats().events
        return self.report


def _credited(event: CreditEvent) -> str:
    if isinstance(event, CreditNoteCreated):
        return f"credit note {event.credit_note.number}"
    if isinstance(event, WalletTransactionCreated):
        return f"wallet transaction {event.transaction.id}"
    return f"invoice {event.invoice_id}"


def _named(event: BillingEvent) -> str:
    if isinstance(event, FeeCreated):
        return f"fee {event.fee.fee.id}"
    return f"invoice {event.invoice.id} ({event.invoice.number})"
