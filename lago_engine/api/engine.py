"""What the HTTP API asks of the engine: the port between requests and one partition.

`lago_engine.engine.Engine` has this shape. Nothing here knows of HTTP, and the API knows nothing of
actors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import CustomerCommand, OrganizationCommand
from lago_engine.domain.customer.payments import PaymentOutcome
from lago_engine.domain.customer.state import CustomerState, PaymentLink
from lago_engine.domain.events import DomainEvent
from lago_engine.domain.invoicing.issued import DocumentKind
from lago_engine.domain.rating.usage_question import UsageQuestion
from lago_engine.projecting.presenting import PreviewedInvoice
from lago_engine.store.port import Store


class IngestAnswer(Protocol):
    """The finished answer to a body of usage events; `body` is the whole JSON."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class Engine(Protocol):
    """One partition. Every call may raise UnavailableError; commands raise DomainError as well."""

    @property
    def store(self) -> Store:
        """Documents and deliveries, for reading from any thread."""

    @property
    def refolds(self) -> Mapping[str, int]:
        """Usage windows that wait for the log, are being folded from it, and were since the start."""

    def authenticate(self, key: str) -> UUID | None:
        """The organization of a live API key."""

    def organization(self, organization_id: UUID) -> OrganizationState: ...

    def now(self, organization_id: UUID) -> datetime:
        """The organization's clock."""

    async def booked(self, customer_id: UUID, idempotency_key: str) -> Sequence[UUID]:
        """Ids of what an earlier request of the customer booked under this key."""

    async def customer(self, organization_id: UUID, external_id: str) -> CustomerState | None:
        """The customer that has the external id now."""

    async def customer_by_id(self, customer_id: UUID) -> CustomerState | None:
        """A customer, also one that was deleted."""

    async def execute(
        self, command: OrganizationCommand | CustomerCommand, *, actor: str
    ) -> Sequence[DomainEvent]:
        """What the command made happen. At return it is durable and its documents can be read."""

    async def ingest(
        self, organization_id: UUID, body: bytes, *, single: bool, partial: bool = False
    ) -> IngestAnswer:
        """Store one body of usage events; the answer may be sent at once. partial: of a batch, each event for itself."""

    async def estimate_fees(
        self,
        organization_id: UUID,
        external_customer_id: str,
        subscription_id: UUID,
        event: bytes,
    ) -> Sequence[bytes]:
        """The `fee` documents that an event (a JSON object) would have if it came now; nothing is stored."""

    def expression_problem(self, text: str) -> str | None:
        """Why the text is no expression of the metric language; None if it is one."""

    def evaluate_expression(
        self, text: str, *, code: str, timestamp_us: int, properties: bytes
    ) -> tuple[str | None, str | None]:
        """What an expression gives for one event (properties: a JSON object), or why it fails."""

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

    async def current_usage(
        self,
        organization_id: UUID,
        external_customer_id: str,
        external_subscription_id: str,
        question: UsageQuestion,
    ) -> Mapping[str, Any]:
        """The `customer_usage` object of the running period."""

    async def ongoing_balances(
        self, organization_id: UUID, external_customer_id: str
    ) -> Mapping[UUID, Mapping[str, Any]]:
        """By active wallet: the members that say what is left when usage that is not billed yet is counted."""

    async def projected_usage(
        self,
        organization_id: UUID,
        external_customer_id: str,
        external_subscription_id: str,
        *,
        apply_taxes: bool,
    ) -> Mapping[str, Any]:
        """The `customer_projected_usage` object of the running period."""

    async def preview_invoice(
        self, organization_id: UUID, given: Mapping[str, Any]
    ) -> PreviewedInvoice:
        """The invoice that would follow from what a request supposes, as its documents would be. Stores nothing."""

    async def document_pdf(
        self, organization_id: UUID, kind: DocumentKind, document_id: UUID
    ) -> bytes:
        """The file of a finalized or voided invoice, or of a credit note. Raises NotFound."""

    async def explain_invoice(self, organization_id: UUID, invoice_id: UUID) -> msgspec.Struct:
        """Where every amount of an invoice comes from, with the wire's names. Raises NotFound."""

    async def provider_webhook(
        self,
        provider: str,
        organization_id: UUID,
        code: str | None,
        headers: Mapping[str, str],
        body: bytes,
    ) -> int:
        """Take in what a payment provider posted; the HTTP status it is answered with."""

    async def payment_page(
        self, organization_id: UUID, customer_id: UUID, invoice_id: UUID, return_url: str
    ) -> PaymentLink:
        """The hosted page on which an invoice can be paid. Raises NotFound, ValidationFailed on `base`."""

    async def report_payment(
        self,
        organization_id: UUID,
        customer_id: UUID,
        payment_id: UUID,
        outcome: PaymentOutcome,
    ) -> None:
        """A provider's news about one payment."""

    async def settle(self, organization_id: UUID) -> None:
        """Return when everything that earlier commands set off has happened."""

    async def run_tasks(self, organization_id: UUID, tasks: Sequence[str]) -> None:
        """Do what is due now, only the named tasks, in this order."""

    async def advance(self, organization_id: UUID, to: datetime) -> Mapping[str, int]:
        """Move a virtual clock forward through everything due; what happened, counted by kind."""
