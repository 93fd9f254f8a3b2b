"""Fold the customer's facts into its state. Never refuses: history already happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import singledispatch
from typing import Final, TypeVar

from msgspec import UnsetType
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.customer.billed_units import with_invoice, without_invoice
from lago_engine.domain.customer.state import (
    BilledUsage,
    CustomerState,
    InvoiceRecord,
    Payment,
    Subscription,
)
from lago_engine.domain.invoicing.ledger import packed
from lago_engine.domain.invoicing.model import Fee, Invoice, InvoiceLink, PaymentStatus
from lago_engine.domain.rating.in_advance.counter import NOTHING_BILLED
from lago_engine.domain.wallets.model import WalletTransaction

KEY_LIFE: Final = timedelta(hours=24)
"""How long an idempotency key counts."""

K = TypeVar("K")
V = TypeVar("V")


def evolve_customer(state: CustomerState | None, event: e.DomainEvent) -> CustomerState | None:
    """The state after `event`; facts of other streams leave it as it is."""
    if isinstance(event, e.CustomerCreated):
        assert state is None
        return CustomerState(profile=event.customer)
    if state is None:
        return None
    return _evolve(event, state)


def _with(mapping: Mapping[K, V], key: K, value: V) -> dict[K, V]:
    return {**mapping, key: value}


def _without(mapping: Mapping[K, V], key: K) -> dict[K, V]:
    return {k: v for k, v in mapping.items() if k != key}


@singledispatch
def _evolve(event: e.DomainEvent, state: CustomerState) -> CustomerState:
    return state


@_evolve.register(e.CustomerUpdated)
@_evolve.register(e.CustomerDeleted)
def _(event: e.CustomerUpdated | e.CustomerDeleted, state: CustomerState) -> CustomerState:
    return replace(state, profile=event.customer)


@_evolve.register
def _(event: e.SubscriptionCreated, state: CustomerState) -> CustomerState:
    subscription = event.subscription
    return replace(
        state,
        profile=event.customer,
        subscriptions=_with(state.subscriptions, subscription.id, subscription),
        items_count=state.items_count + 1,
    )


@_evolve.register(e.SubscriptionStarted)
@_evolve.register(e.SubscriptionUpdated)
@_evolve.register(e.SubscriptionRepriced)
@_evolve.register(e.SubscriptionTrialEnded)
@_evolve.register(e.SubscriptionTerminated)
@_evolve.register(e.SubscriptionCanceled)
def _(
    event: e.SubscriptionStarted
    | e.SubscriptionUpdated
    | e.SubscriptionRepriced
    | e.SubscriptionTrialEnded
    | e.SubscriptionTerminated
    | e.SubscriptionCanceled,
    state: CustomerState,
) -> CustomerState:
    return replace(
        state,
        profile=event.customer,
        subscriptions=_with(state.subscriptions, event.subscription.id, event.subscription),
    )


@_evolve.register
def _(event: e.FixedChargeUnitsSet, state: CustomerState) -> CustomerState:
    known = state.unit_steps.get(event.subscription_id, {})
    steps = (*known.get(event.fixed_charge_id, ()), event.step)
    after = _with(known, event.fixed_charge_id, steps)
    return replace(state, unit_steps=_with(state.unit_steps, event.subscription_id, after))


@_evolve.register
def _(event: e.InvoiceDrafted, state: CustomerState) -> CustomerState:
    billed = _billed(state, event.invoice)
    return replace(billed, drafts=_with(state.drafts, event.invoice.id, event.invoice))


@_evolve.register
def _(event: e.InvoiceRefreshed, state: CustomerState) -> CustomerState:
    return replace(
        state,
        drafts=_with(state.drafts, event.invoice.id, event.invoice),
        billed_units=with_invoice(state.billed_units, event.invoice),
    )


@_evolve.register(e.InvoiceFinalized)
@_evolve.register(e.InvoiceClosed)
def _(event: e.InvoiceFinalized | e.InvoiceClosed, state: CustomerState) -> CustomerState:
    invoice = event.invoice
    if invoice.id in state.open_invoices:
        return _paid_at_last(state, invoice)
    if invoice.invoice_type == "advance_charges":
        state = _regrouped(state, invoice)
    elif invoice.id in state.drafts:
        state = replace(
            state,
            drafts=_without(state.drafts, invoice.id),
            billed_units=with_invoice(state.billed_units, invoice),
        )
    else:
        state = _billed(state, invoice)
    if isinstance(event, e.InvoiceClosed):
        return state
    assert invoice.sequential_id is not None
    return replace(
        state,
        invoices=_with(state.invoices, invoice.id, invoice_record(invoice)),
        last_sequential_id=invoice.sequential_id,
    )


@_evolve.register
def _(event: e.InvoiceOpened, state: CustomerState) -> CustomerState:
    invoice = event.invoice
    return replace(
        state,
        open_invoices=_with(state.open_invoices, invoice.id, invoice),
        invoices=_with(state.invoices, invoice.id, invoice_record(invoice)),
        items_count=state.items_count + 1,
    )


def _paid_at_last(state: CustomerState, invoice: Invoice) -> CustomerState:
    """An open invoice is final; what was paid of it stays known."""
    assert invoice.sequential_id is not None
    record = replace(
        state.invoices[invoice.id],
        number=invoice.number,
        status=invoice.status,
        payment_due_date=invoice.payment_due_date,
        ledger=packed(invoice),
    )
    return replace(
        state,
        open_invoices=_without(state.open_invoices, invoice.id),
        invoices=_with(state.invoices, invoice.id, record),
        last_sequential_id=invoice.sequential_id,
    )


@_evolve.register
def _(event: e.FeeCreated, state: CustomerState) -> CustomerState:
    created = event.fee
    state = _billed_in_advance(state, created.fee)
    if created.regroup:
        state = replace(state, regrouping=_with(state.regrouping, created.fee.id, created))
    return replace(state, items_count=state.items_count + 1)


@_evolve.register
def _(event: e.FeePaymentStatusChanged, state: CustomerState) -> CustomerState:
    known = state.regrouping.get(event.fee_id)
    if known is None:
        return state
    succeeded = event.payment_status == "succeeded"
    changed = replace(
        known,
        payment_status=event.payment_status,
        succeeded_at=event.changed_at if succeeded else None,
    )
    return replace(state, regrouping=_with(state.regrouping, event.fee_id, changed))


@_evolve.register
def _(event: e.FeeDeleted, state: CustomerState) -> CustomerState:
    return replace(state, regrouping=_without(state.regrouping, event.fee_id))


@_evolve.register
def _(event: e.UsagePassedOver, state: CustomerState) -> CustomerState:
    known = state.billed_usage.get(event.subscription_id)
    billed = BilledUsage(place=event.place, counters=known.counters if known else {})
    return replace(state, billed_usage=_with(state.billed_usage, event.subscription_id, billed))


def _billed_in_advance(state: CustomerState, fee: Fee) -> CustomerState:
    """The usage event of a fee is billed; a counter that says nothing is not kept."""
    billed = fee.billed_event
    if isinstance(billed, UnsetType):
        return state
    assert fee.subscription_id is not None
    known = state.billed_usage.get(fee.subscription_id)
    counters = known.counters if known else {}
    if billed.counter != NOTHING_BILLED:
        counters = _with(counters, billed.bucket, billed.counter)
    elif billed.bucket in counters:
        counters = _without(counters, billed.bucket)
    after = BilledUsage(place=billed.place, counters=counters)
    return replace(state, billed_usage=_with(state.billed_usage, fee.subscription_id, after))


def invoice_record(invoice: Invoice) -> InvoiceRecord:
    """What the state keeps of a finalized invoice."""
    return InvoiceRecord(
        id=invoice.id,
        number=invoice.number,
        status=invoice.status,
        payment_status=invoice.payment_status,
        currency=invoice.currency,
        total_amount_cents=invoice.total_amount_cents,
        total_paid_amount_cents=0,
        payment_due_date=invoice.payment_due_date,
        invoice_type=invoice.invoice_type,
        sub_total_including_taxes_amount_cents=invoice.sub_total_including_taxes_amount_cents,
        credits=invoice.credits or (),
        ledger=packed(invoice),
    )


def _regrouped(state: CustomerState, invoice: Invoice) -> CustomerState:
    """Paid fees found their invoice; it bills no period."""
    waiting = dict(state.regrouping)
    for fee in invoice.fees:
        waiting.pop(fee.id, None)
    return replace(state, regrouping=waiting, items_count=state.items_count + 1)


def _billed(state: CustomerState, invoice: Invoice) -> CustomerState:
    """An invoice came into being: its periods count as billed."""
    for fee in invoice.fees:
        state = _billed_in_advance(state, fee)
    subscriptions = dict(state.subscriptions)
    for link in invoice.links:
        subscription = subscriptions.get(link.subscription_id)
        if subscription is not None and link.invoicing_reason != "in_advance_charge":
            subscriptions[subscription.id] = _linked(subscription, link, invoice)
    return replace(
        state,
        subscriptions=subscriptions,
        items_count=state.items_count + 1,
        billed_units=with_invoice(state.billed_units, invoice),
    )


def _linked(subscription: Subscription, link: InvoiceLink, invoice: Invoice) -> Subscription:
    has_base_fee = any(
        fee.subscription_id == subscription.id and fee.fee_type == "subscription"
        for fee in invoice.fees
    )
    return replace(
        subscription,
        base_fees=subscription.base_fees + has_base_fee,
        last_link=link,
        next_billing_on=link.next_billing_on if link.recurring else subscription.next_billing_on,
    )


@_evolve.register
def _(event: e.InvoiceVoided, state: CustomerState) -> CustomerState:
    record = replace(state.invoices[event.invoice_id], status="voided", payment_overdue=False)
    return replace(
        state,
        invoices=_with(state.invoices, record.id, record),
        billed_units=without_invoice(state.billed_units, record.id),
    )


@_evolve.register
def _(event: e.InvoiceDeleted, state: CustomerState) -> CustomerState:
    return replace(
        state,
        drafts=_without(state.drafts, event.invoice.id),
        billed_units=without_invoice(state.billed_units, event.invoice.id),
    )


@_evolve.register
def _(event: e.InvoicePaymentOverdue, state: CustomerState) -> CustomerState:
    record = replace(state.invoices[event.invoice_id], payment_overdue=True)
    return replace(state, invoices=_with(state.invoices, record.id, record))


@_evolve.register
def _(event: e.CouponApplied, state: CustomerState) -> CustomerState:
    coupon = event.applied_coupon
    return replace(
        state,
        profile=event.customer,
        applied_coupons=_with(state.applied_coupons, coupon.id, coupon),
        items_count=state.items_count + 1,
    )


@_evolve.register(e.CouponUsed)
@_evolve.register(e.CouponGivenBack)
@_evolve.register(e.AppliedCouponTerminated)
def _(
    event: e.CouponUsed | e.CouponGivenBack | e.AppliedCouponTerminated, state: CustomerState
) -> CustomerState:
    coupon = event.applied_coupon
    return replace(state, applied_coupons=_with(state.applied_coupons, coupon.id, coupon))


@_evolve.register
def _(event: e.CreditNoteCreated, state: CustomerState) -> CustomerState:
    note = event.credit_note
    record = _with_status(state.invoices[note.invoice_id], event.invoice_payment_status)
    offset = event.invoice_total_offsetted_amount_cents
    record = replace(record, total_offsetted_amount_cents=offset)
    return replace(
        state,
        credit_notes=_with(state.credit_notes, note.id, note),
        invoices=_with(state.invoices, record.id, record),
        items_count=state.items_count + 1,
    )


@_evolve.register(e.CreditNoteConsumed)
@_evolve.register(e.CreditNoteRestored)
@_evolve.register(e.CreditNoteUpdated)
@_evolve.register(e.CreditNoteVoided)
def _(
    event: e.CreditNoteConsumed | e.CreditNoteRestored | e.CreditNoteUpdated | e.CreditNoteVoided,
    state: CustomerState,
) -> CustomerState:
    note = event.credit_note
    refunds = state.refunds
    if note.refund_status != "pending" and note.id in refunds:
        refunds = _without(refunds, note.id)
    return replace(state, credit_notes=_with(state.credit_notes, note.id, note), refunds=refunds)


@_evolve.register
def _(event: e.WalletCreated, state: CustomerState) -> CustomerState:
    return replace(
        state,
        profile=event.customer,
        wallets=_with(state.wallets, event.wallet.id, event.wallet),
        items_count=state.items_count + 1,
    )


@_evolve.register(e.WalletUpdated)
@_evolve.register(e.WalletTerminated)
@_evolve.register(e.WalletRuleApplied)
@_evolve.register(e.WalletBalanceRefreshed)
def _(
    event: e.WalletUpdated | e.WalletTerminated | e.WalletRuleApplied | e.WalletBalanceRefreshed,
    state: CustomerState,
) -> CustomerState:
    changed = _with(state.wallets, event.wallet.id, event.wallet)
    return replace(state, wallets=changed, items_count=state.items_count + 1)


@_evolve.register(e.WalletTransactionCreated)
@_evolve.register(e.WalletTransactionSettled)
@_evolve.register(e.WalletTransactionFailed)
def _(
    event: e.WalletTransactionCreated | e.WalletTransactionSettled | e.WalletTransactionFailed,
    state: CustomerState,
) -> CustomerState:
    transaction = event.transaction
    state = replace(
        state,
        wallets=_with(state.wallets, event.wallet.id, event.wallet),
        items_count=state.items_count + 1,
    )
    if transaction.transaction_type == "inbound":
        return replace(state, inbound=_with(state.inbound, transaction.id, transaction))
    return _consumed(state, transaction)


def _consumed(state: CustomerState, outbound: WalletTransaction) -> CustomerState:
    """Inbound transactions have that much less; an invoice knows what it was paid with."""
    inbound = dict(state.inbound)
    for link in outbound.consumed:
        source = inbound[link.inbound_id]
        assert source.remaining_amount_cents is not None
        left = source.remaining_amount_cents - link.amount_cents
        assert left >= 0
        inbound[source.id] = replace(source, remaining_amount_cents=left)
    state = replace(state, inbound=inbound)
    if outbound.invoice_id is None:
        return state
    record = state.invoices[outbound.invoice_id]
    links = tuple((outbound.wallet_id, link) for link in outbound.consumed)
    paid = replace(record, prepaid=record.prepaid + links)
    return replace(state, invoices=_with(state.invoices, record.id, paid))


@_evolve.register
def _(event: e.RequestBooked, state: CustomerState) -> CustomerState:
    request = event.request
    since = request.booked_at - KEY_LIFE
    kept = {key: each for key, each in state.booked.items() if each.booked_at > since}
    return replace(state, booked=_with(kept, request.key, request))


@_evolve.register
def _(event: e.InvoicePaymentStatusUpdated, state: CustomerState) -> CustomerState:
    record = _with_status(state.invoices[event.invoice_id], event.payment_status)
    return replace(state, invoices=_with(state.invoices, record.id, record))


@_evolve.register
def _(event: e.InvoiceMetadataSet, state: CustomerState) -> CustomerState:
    record = replace(state.invoices[event.invoice_id], metadata=event.metadata)
    return replace(
        state,
        invoices=_with(state.invoices, record.id, record),
        items_count=state.items_count + 1,
    )


@_evolve.register
def _(event: e.InvoicePaymentDisputeLost, state: CustomerState) -> CustomerState:
    record = replace(
        state.invoices[event.invoice_id],
        payment_dispute_lost_at=event.lost_at,
        payment_overdue=False,
    )
    return replace(state, invoices=_with(state.invoices, record.id, record))


def _with_status(record: InvoiceRecord, status: PaymentStatus) -> InvoiceRecord:
    """Overdue no longer once it is paid."""
    overdue = record.payment_overdue and status != "succeeded"
    return replace(record, payment_status=status, payment_overdue=overdue)


@_evolve.register
def _(event: e.RefundRequested, state: CustomerState) -> CustomerState:
    refund = event.refund
    return replace(state, refunds=_with(state.refunds, refund.credit_note_id, refund))


@_evolve.register
def _(event: e.RefundStatusChanged, state: CustomerState) -> CustomerState:
    note = event.credit_note
    state = replace(state, credit_notes=_with(state.credit_notes, note.id, note))
    if note.refund_status == "pending":
        return replace(state, refunds=_with(state.refunds, note.id, event.refund))
    return replace(state, refunds=_without(state.refunds, note.id))


@_evolve.register
def _(event: e.PaymentRequested, state: CustomerState) -> CustomerState:
    record = state.invoices[event.payment.invoice_id]
    attempted = replace(record, payment_attempts=record.payment_attempts + 1)
    return replace(
        state,
        payments=_with(state.payments, event.payment.id, event.payment),
        invoices=_with(state.invoices, record.id, attempted),
        items_count=state.items_count + 1,
    )


@_evolve.register
def _(event: e.PaymentLinkOpened, state: CustomerState) -> CustomerState:
    links = _with(state.payment_links, event.link.payment.id, event.link)
    return replace(state, payment_links=links)


@_evolve.register(e.PaymentRecorded)
@_evolve.register(e.PaymentStatusChanged)
def _(event: e.PaymentRecorded | e.PaymentStatusChanged, state: CustomerState) -> CustomerState:
    record = state.invoices[event.payment.invoice_id]
    settled = replace(
        _with_status(record, event.invoice_payment_status),
        total_paid_amount_cents=event.invoice_total_paid_amount_cents,
    )
    if event.payment.type == "provider" and event.payment.payment_status == "succeeded":
        settled = replace(settled, provider_payment=event.payment)
    state = replace(
        state,
        invoices=_with(state.invoices, record.id, settled),
        receipts_count=state.receipts_count + (event.receipt is not None),
    )
    if isinstance(event, e.PaymentRecorded):
        return replace(state, items_count=state.items_count + 1)
    return _payment_moved(state, event.payment)


def _payment_moved(state: CustomerState, payment: Payment) -> CustomerState:
    if payment.payment_status not in ("succeeded", "failed"):
        return replace(state, payments=_with(state.payments, payment.id, payment))
    return replace(
        state,
        payments=_without(state.payments, payment.id),
        settled_payments=state.settled_payments | {payment.id},
    )
