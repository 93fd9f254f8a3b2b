"""Makes the PDF of every invoice, credit note and receipt after it was issued, and records its hash.

Behind the run that issues them, never in its way: on threads of low priority, a batch at a time, in the order of the
log. The cursor moves past an object only when its document is recorded; what was recorded before is not made again.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import structlog

from lago_engine.documents.model import DocumentError
from lago_engine.documents.stored import generate
from lago_engine.domain import events as e
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CustomerCommand, RecordDocument
from lago_engine.domain.customer.state import PaymentReceipt
from lago_engine.domain.invoicing.issued import DocumentKind, GeneratedDocument, issuer_of
from lago_engine.errors import DomainError, UnavailableError
from lago_engine.store.port import Store

log = structlog.get_logger(__name__)

ACTOR: Final = "documents"
BACKOFF_S: Final = 1.0
BATCH: Final = 32
"""Documents recorded together."""
NICENESS: Final = 10


class Issued(Protocol):
    """A committed event at its place in the log."""

    @property
    def position(self) -> int: ...
    @property
    def organization_id(self) -> UUID: ...
    @property
    def event(self) -> e.DomainEvent: ...


class Engine(Protocol):
    """What the issuer needs of the engine."""

    @property
    def store(self) -> Store: ...

    def organization(self, organization_id: UUID) -> OrganizationState: ...

    async def execute(self, command: CustomerCommand, *, actor: str) -> Sequence[e.DomainEvent]: ...


class Wanted(NamedTuple):
    """A document to make. Small, because a run may issue hundreds of thousands."""

    position: int
    organization_id: UUID
    customer_id: UUID
    kind: DocumentKind
    id: UUID


class DocumentIssuer:
    """One queue of documents to make, and `workers` threads that make them; without workers it makes none."""

    def __init__(self, engine: Engine, *, workers: int, backoff_s: float = BACKOFF_S) -> None:
        self._engine = engine
        self._workers = workers
        self._backoff_s = backoff_s
        self._queue: deque[Wanted] = deque()
        self._task: asyncio.Task[None] | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._seen = 0

    @property
    def cursor(self) -> int:
        """The log position up to which every document is recorded."""
        return self._queue[0].position - 1 if self._queue else self._seen

    @property
    def waiting(self) -> int:
        """Documents that are still to be made."""
        return len(self._queue)

    def concerns(self, event: e.DomainEvent) -> bool:
        """Whether the event issues something that is printed."""
        match event:
            case e.InvoiceFinalized():
                issues = True
            case e.CreditNoteCreated(credit_note=note):
                issues = note.status == "finalized"
            case e.PaymentRecorded() | e.PaymentStatusChanged():
                issues = event.receipt is not None
            case _:
                issues = False
        return issues and self._workers > 0

    def saw(self, position: int) -> None:
        """The log was read up to `position`."""
        self._seen = max(self._seen, position)

    def accept(self, issued: Issued) -> None:
        """Make one document, after those accepted before."""
        self._queue.append(_wanted(issued))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="document-issuer")

    async def settle(self) -> None:
        """Wait until every document is made."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Abandon what is under way; the cursor makes the next start take it up again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._threads is not None:
            await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    # --- making --------------------------------------------------------------------------------

    async def _work(self) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(
                self._workers, thread_name_prefix="documents", initializer=_give_way
            )
        while self._queue:
            batch = [self._queue[number] for number in range(min(BATCH, len(self._queue)))]
            try:
                made = await asyncio.gather(*(self._make(self._threads, each) for each in batch))
                await asyncio.gather(
                    *(self._record(*each) for each in zip(batch, made, strict=True))
                )
            except UnavailableError as error:
                log.warning("documents_delayed", error=str(error))
                await asyncio.sleep(self._backoff_s)
                continue
            for _ in batch:
                self._queue.popleft()

    async def _make(self, threads: ThreadPoolExecutor, wanted: Wanted) -> GeneratedDocument | None:
        issuer = issuer_of(self._engine.organization(wanted.organization_id).organization)
        target = wanted.organization_id, wanted.kind, wanted.id
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                threads, generate, self._engine.store, *target, issuer
            )
        except DocumentError as error:
            # Downloads report it, too; the documents after it must not wait for it.
            log.error("document_not_generated", id=str(wanted.id), error=str(error))
            return None

    async def _record(self, wanted: Wanted, document: GeneratedDocument | None) -> None:
        if document is None:
            return
        command = RecordDocument(
            organization_id=wanted.organization_id,
            customer_id=wanted.customer_id,
            document=document,
        )
        try:
            await self._engine.execute(command, actor=ACTOR)
        except DomainError as error:
            log.error("document_not_recorded", id=str(wanted.id), error=str(error))


def _wanted(issued: Issued) -> Wanted:
    match issued.event:
        case e.InvoiceFinalized(invoice=invoice):
            named: tuple[UUID, DocumentKind, UUID] = invoice.customer.id, "invoice", invoice.id
        case e.CreditNoteCreated(credit_note=note):
            named = note.customer_id, "credit_note", note.id
        case (
            e.PaymentRecorded(customer=customer, receipt=PaymentReceipt() as receipt)
            | e.PaymentStatusChanged(customer=customer, receipt=PaymentReceipt() as receipt)
        ):
            named = customer.id, "payment_receipt", receipt.id
        case other:
            raise TypeError(f"{type(other).__name__} issues nothing")
    return Wanted(issued.position, issued.organization_id, *named)


def _give_way() -> None:
    """Billing comes first: the threads of documents get what processor time it leaves."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
