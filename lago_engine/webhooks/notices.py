"""Which webhooks an event sets off, and what each of them carries.

Source: api_conventions.md §10.3, subscriptions.md §11, payments.md §3 and §11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET

from lago_engine.domain import events
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import Payment, PaymentReceipt, Subscription
from lago_engine.domain.events import DomainEvent
from lago_engine.domain.invoicing.model import Fee, Invoice
from lago_engine.projecting.presenting import (
    payment_provider_name,
    plan_address,
    present,
    present_invoice,
    subscription_ids,
)
from lago_engine.projecting.projection import Context
from lago_engine.projecting.wire import (
    Members,
    encode,
    instant,
    members,
    read_string,
    without,
)
from lago_engine.webhooks import wallet_notices
from lago_engine.webhooks.notice import Notice

_CREATED: Final = {"one_off": "invoice.one_off_created", "credit": "invoice.paid_credit_added"}
"""How the finalization of other than subscription invoices is announced."""

INVOICE_SECTIONS: Final = (
    "customer",
    "subscriptions",
    "billing_periods",
    "fees",
    "credits",
    "metadata",
    "applied_taxes",
    "error_details",
    "applied_invoice_custom_sections",
)

_DRAFT: Final = (
    "customer", "subscriptions", "billing_periods", "fees", "credits", "applied_taxes",
    "error_details",
)  # fmt: skip

SECTIONS_SENT: Final[dict[str, tuple[str, ...]]] = {
    "invoice.drafted": _DRAFT,
    "invoice.ready_to_finalize": _DRAFT,
    "invoice.created": (*_DRAFT[:-1], "applied_invoice_custom_sections"),
    "invoice.one_off_created": (
        "customer",
        "fees",
        "applied_taxes",
        "applied_invoice_custom_sections",
    ),
    "invoice.paid_credit_added": (
        "customer",
        "fees",
        "applied_taxes",
        "applied_invoice_custom_sections",
    ),
    "invoice.voided": _DRAFT[:-1],
    "invoice.deleted": _DRAFT,
    "invoice.payment_dispute_lost": ("customer",),
    "invoice.payment_status_updated": ("customer", "fees"),
    "invoice.payment_overdue": ("customer", "fees", "applied_taxes"),
}
"""Invoice webhook → the sections of the invoice that it carries."""


def notices(event: DomainEvent, context: Context) -> Iterator[Notice]:
    """The webhooks of an event that was just projected, in the order in which they are numbered."""
    make = _NOTICES.get(type(event))
    return iter(()) if make is None else make(event, context)


# --- catalog and customers ---------------------------------------------------------------------


def _shown(kind: str, body: bytes, context: Context) -> Members:
    return present(kind, body, context.organization, context.occurred_at)


def _require_before(kind: str, key: str, context: Context) -> bytes:
    body = context.documents.before(context.organization_id, kind, key)
    assert body is not None, f"no {kind} {key} before its own deletion"
    return body


def _metric_changed(
    event: events.BillableMetricCreated | events.BillableMetricUpdated, context: Context
) -> Iterator[Notice]:
    done = "created" if isinstance(event, events.BillableMetricCreated) else "updated"
    code = event.metric.code
    yield Notice(
        f"billable_metric.{done}",
        "billable_metric",
        lambda: members(context.require("billable_metric", code)),
    )


def _metric_deleted(event: events.BillableMetricDeleted, context: Context) -> Iterator[Notice]:
    yield Notice(
        "billable_metric.deleted",
        "billable_metric",
        lambda: members(_require_before("billable_metric", event.metric.code, context)),
    )


def _plan_changed(
    event: events.PlanCreated | events.PlanUpdated, context: Context
) -> Iterator[Notice]:
    if isinstance(event, events.PlanUpdated) and not event.announced:
        return
    done = "created" if isinstance(event, events.PlanCreated) else "updated"
    code = event.plan.code
    yield Notice(f"plan.{done}", "plan", lambda: _plan(context.require("plan", code)))


def _plan_deletion_requested(
    event: events.PlanDeletionRequested, context: Context
) -> Iterator[Notice]:
    """Told when it is asked for, not again when the plan is gone (plans.md §12)."""
    code = event.plan.code
    yield Notice(
        "plan.deleted",
        "plan",
        lambda: without(_plan(context.require("plan", code)), "entitlements"),
    )


def _plan_deleted(event: events.PlanDeleted, context: Context) -> Iterator[Notice]:
    if event.plan.pending_deletion:
        return

    def payload() -> Members:
        plan = without(_plan(_require_before("plan", event.plan.code, context)), "entitlements")
        return {**plan, "pending_deletion": True}

    yield Notice("plan.deleted", "plan", payload)


def _plan(body: bytes) -> Members:
    return without(members(body), "fixed_charges", "applicable_usage_thresholds")


def _customer_changed(
    event: events.CustomerCreated | events.CustomerUpdated, context: Context
) -> Iterator[Notice]:
    done = "created" if isinstance(event, events.CustomerCreated) else "updated"
    yield Notice(f"customer.{done}", "customer", lambda: _customer(event.customer, context))


def _customer(customer: CustomerProfile, context: Context) -> Members:
    shown = _shown("customer", context.require("customer", customer.external_id), context)
    return without(shown, "taxes", "applicable_invoice_custom_sections", "error_details")


# --- usage -------------------------------------------------------------------------------------


def _usage_errors_found(event: events.UsageErrorsFound, context: Context) -> Iterator[Notice]:
    yield Notice(
        "events.errors",
        "events_errors",
        lambda: {
            "invalid_code": event.invalid_code,
            "missing_aggregation_property": event.missing_aggregation_property,
            "missing_group_key": None,
            "invalid_filter_values": event.invalid_filter_values,
        },
    )


# --- subscriptions -----------------------------------------------------------------------------


def _subscription_started(
    event: events.SubscriptionCreated | events.SubscriptionStarted, context: Context
) -> Iterator[Notice]:
    # A subscription that waits for its start is announced when it starts.
    if event.subscription.status == "active":
        yield Notice(
            "subscription.started",
            "subscription",
            lambda: {
                **_subscription(event.customer, event.subscription, context),
                "entitlements": [],
            },
        )


def _subscription_updated(event: events.SubscriptionUpdated, context: Context) -> Iterator[Notice]:
    """Not while a subscription only waits for another day to start (subscriptions.md §6)."""
    subscription = event.subscription
    before = members(_require_before("subscription", str(subscription.id), context))
    moved = bytes(before["subscription_at"]) != encode(instant(subscription.subscription_at))
    if subscription.status == "pending" and moved:
        return
    yield Notice(
        "subscription.updated",
        "subscription",
        lambda: {**_subscription(event.customer, subscription, context), "entitlements": []},
    )


def _trial_ended(event: events.SubscriptionTrialEnded, context: Context) -> Iterator[Notice]:
    yield Notice(
        "subscription.trial_ended",
        "subscription",
        lambda: _subscription(event.customer, event.subscription, context),
    )


def _subscription_ended(
    event: events.SubscriptionTerminated | events.SubscriptionCanceled, context: Context
) -> Iterator[Notice]:
    done = "terminated" if isinstance(event, events.SubscriptionTerminated) else "canceled"
    yield Notice(
        f"subscription.{done}",
        "subscription",
        lambda: _subscription(event.customer, event.subscription, context),
    )


def _subscription(
    customer: CustomerProfile, subscription: Subscription, context: Context
) -> Members:
    body = context.require("subscription", str(subscription.id))
    shown = _shown("subscription", body, context)
    kind, key = plan_address(body, context.organization)
    plan = _shown(kind, context.require(kind, key), context)
    shown["plan"] = without(plan, "fixed_charges", "entitlements")
    shown["customer"] = _customer(customer, context)
    return shown


# --- invoices and payments ---------------------------------------------------------------------


def _invoice(webhook_type: str, invoice_id: UUID, context: Context) -> Notice:
    def payload() -> Members:
        body = context.require("invoice", str(invoice_id))
        return _sections(webhook_type, _shown("invoice", body, context))

    return Notice(webhook_type, "invoice", payload)


def _sections(webhook_type: str, invoice: Members) -> Members:
    sent = SECTIONS_SENT[webhook_type]
    return without(invoice, *(name for name in INVOICE_SECTIONS if name not in sent))


def _invoice_drafted(event: events.InvoiceDrafted, context: Context) -> Iterator[Notice]:
    yield _invoice("invoice.drafted", event.invoice.id, context)
    # Taxes are always known at once, so a draft is ready from its beginning.
    yield _invoice("invoice.ready_to_finalize", event.invoice.id, context)


def _fee(fee_id: UUID, context: Context) -> Notice:
    return Notice(
        "fee.created", "fee", lambda: _shown("fee", context.require("fee", str(fee_id)), context)
    )


def _fee_created(event: events.FeeCreated, context: Context) -> Iterator[Notice]:
    yield _fee(event.fee.fee.id, context)


def _invoice_finalized(event: events.InvoiceFinalized, context: Context) -> Iterator[Notice]:
    for fee in event.invoice.fees:
        if event.invoice.invoice_type == "subscription" and _is_announced(event.invoice, fee):
            yield _fee(fee.id, context)
    webhook_type = _CREATED.get(event.invoice.invoice_type, "invoice.created")
    yield _invoice(webhook_type, event.invoice.id, context)


def _is_announced(invoice: Invoice, fee: Fee) -> bool:
    """Fees for one usage event and for units of now are, also on an invoice (events.md §5.1, billing_periods.md §12.2)."""
    at_once = any(link.invoicing_reason == "in_advance_charge" for link in invoice.links)
    return fee.billed_event is not UNSET or (at_once and fee.fixed_charge is not UNSET)


def _invoice_deleted(event: events.InvoiceDeleted, context: Context) -> Iterator[Notice]:
    def payload() -> Members:
        body = _require_before("invoice", str(event.invoice.id), context)
        gone = _sections("invoice.deleted", _shown("invoice", body, context))
        return {**gone, "status": "deleted"}

    yield Notice("invoice.deleted", "invoice", payload)


def _invoice_voided(event: events.InvoiceVoided, context: Context) -> Iterator[Notice]:
    def payload() -> Members:
        # Unlike at its making, the subscriptions may have changed since the document was written.
        body = context.require("invoice", str(event.invoice_id))
        subscriptions = [context.require("subscription", key) for key in subscription_ids(body)]
        shown = present_invoice(body, subscriptions, context.organization, context.occurred_at)
        return _sections("invoice.voided", shown)

    yield Notice("invoice.voided", "invoice", payload)


def _invoice_overdue(event: events.InvoicePaymentOverdue, context: Context) -> Iterator[Notice]:
    yield _invoice("invoice.payment_overdue", event.invoice_id, context)


def _payment_recorded(event: events.PaymentRecorded, context: Context) -> Iterator[Notice]:
    yield from _invoice_status(event.payment, event.invoice_payment_status, context)
    yield from _receipt_created(event.receipt, context)


def _payment_changed(event: events.PaymentStatusChanged, context: Context) -> Iterator[Notice]:
    payment = event.payment
    key = str(payment.id)
    now = members(context.require("payment", key))
    # A payment on a hosted page has no document before the provider's first report.
    known = context.documents.before(context.organization_id, "payment", key)
    before = members(known) if known is not None else {"payment_status": "", "next_action": "{}"}
    if read_string(before["payment_status"]) != payment.payment_status:
        if payment.payment_status == "succeeded":
            yield Notice("payment.succeeded", "payment", lambda: now)
        elif payment.payment_status == "failed":
            yield from wallet_notices.payment_failure(event, context)
            if context.get("invoice", str(payment.invoice_id)) is not None:
                yield _payment_failure(event, context)
    if payment.action_url is not None and before["next_action"] != now["next_action"]:
        yield Notice("payment.requires_action", "payment", lambda: now)
    yield from _invoice_status(payment, event.invoice_payment_status, context)
    yield from _receipt_created(event.receipt, context)


def _receipt_created(receipt: PaymentReceipt | None, context: Context) -> Iterator[Notice]:
    if receipt is not None:
        key = str(receipt.id)
        yield Notice(
            "payment_receipt.created",
            "payment_receipt",
            lambda: _shown("payment_receipt", context.require("payment_receipt", key), context),
        )


def _invoice_status(payment: Payment, status: str, context: Context) -> Iterator[Notice]:
    yield from _invoice_status_of(payment.invoice_id, status, context)


def _invoice_status_of(invoice_id: UUID, status: str, context: Context) -> Iterator[Notice]:
    seen = context.documents.before(context.organization_id, "invoice", str(invoice_id))
    # An invoice that is open until it is paid is not spoken of.
    if seen is not None and read_string(members(seen)["payment_status"]) != status:
        yield _invoice("invoice.payment_status_updated", invoice_id, context)


def _credit_note_created(event: events.CreditNoteCreated, context: Context) -> Iterator[Notice]:
    note = event.credit_note
    yield Notice(
        "credit_note.created",
        "credit_note",
        lambda: members(context.require("credit_note", str(note.id))),
    )
    yield from _invoice_status_of(note.invoice_id, event.invoice_payment_status, context)


def _refund_changed(event: events.RefundStatusChanged, context: Context) -> Iterator[Notice]:
    if event.credit_note.refund_status != "failed":
        return
    refund, customer = event.refund, event.customer
    connection = context.organization.connections[refund.connection_code]
    yield Notice(
        "credit_note.provider_refund_failure",
        "credit_note_payment_provider_refund_error",
        lambda: {
            "lago_credit_note_id": refund.credit_note_id,
            "lago_customer_id": customer.id,
            "external_customer_id": customer.external_id,
            "provider_customer_id": refund.provider_customer_id,
            "payment_provider": connection.simulated_as or refund.provider,
            "payment_provider_code": refund.connection_code,
            "provider_error": {
                "message": event.error_message,
                "error_code": event.error_code,
            },
        },
    )


def _invoice_status_updated(
    event: events.InvoicePaymentStatusUpdated, context: Context
) -> Iterator[Notice]:
    yield from _invoice_status_of(event.invoice_id, event.payment_status, context)


def _dispute_lost(event: events.InvoicePaymentDisputeLost, context: Context) -> Iterator[Notice]:
    def payload() -> Members:
        invoice = _shown("invoice", context.require("invoice", str(event.invoice_id)), context)
        return {"invoice": _sections("invoice.payment_dispute_lost", invoice)}

    yield Notice("invoice.payment_dispute_lost", "payment_dispute_lost", payload)


def _payment_failure(event: events.PaymentStatusChanged, context: Context) -> Notice:
    payment, customer = event.payment, event.customer
    return Notice(
        "invoice.payment_failure",
        "payment_provider_invoice_payment_error",
        lambda: {
            "lago_invoice_id": payment.invoice_id,
            "lago_customer_id": customer.id,
            "external_customer_id": customer.external_id,
            "provider_customer_id": payment.provider_customer_id,
            "payment_provider": payment_provider_name(payment, context.organization),
            "payment_provider_code": payment.connection_code,
            "provider_error": {
                "message": payment.error_message,
                "error_code": payment.error_code,
            },
            "error_details": None,
        },
    )


_NOTICES: Final[dict[type[DomainEvent], Callable[[Any, Context], Iterator[Notice]]]] = {
    events.UsageErrorsFound: _usage_errors_found,
    events.BillableMetricCreated: _metric_changed,
    events.BillableMetricUpdated: _metric_changed,
    events.BillableMetricDeleted: _metric_deleted,
    events.PlanCreated: _plan_changed,
    events.PlanUpdated: _plan_changed,
    events.PlanDeletionRequested: _plan_deletion_requested,
    events.PlanDeleted: _plan_deleted,
    events.CustomerCreated: _customer_changed,
    events.CustomerUpdated: _customer_changed,
    events.SubscriptionCreated: _subscription_started,
    events.SubscriptionStarted: _subscription_started,
    events.SubscriptionUpdated: _subscription_updated,
    events.SubscriptionTrialEnded: _trial_ended,
    events.SubscriptionTerminated: _subscription_ended,
    events.SubscriptionCanceled: _subscription_ended,
    events.FeeCreated: _fee_created,
    events.InvoiceDrafted: _invoice_drafted,
    events.InvoiceFinalized: _invoice_finalized,
    events.InvoiceDeleted: _invoice_deleted,
    events.InvoiceVoided: _invoice_voided,
    events.InvoicePaymentOverdue: _invoice_overdue,
    events.CreditNoteCreated: _credit_note_created,
    events.RefundStatusChanged: _refund_changed,
    events.InvoicePaymentStatusUpdated: _invoice_status_updated,
    events.InvoicePaymentDisputeLost: _dispute_lost,
    events.PaymentRecorded: _payment_recorded,
    events.PaymentStatusChanged: _payment_changed,
    **wallet_notices.NOTICES,
}
