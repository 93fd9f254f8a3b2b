"""Invoices and standalone fees decided again, from the state and usage that preceded them in the log."""

from __future__ import annotations

from datetime import datetime
from typing import get_args
from uuid import UUID

from msgspec import UnsetType
from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.billing import bill_together, finalize_draft, rebuild
from lago_engine.domain.customer.credit_note_limits import fees_of, notes_of
from lago_engine.domain.customer.credits import consumed
from lago_engine.domain.customer.decision import Decision, InAdvanceReader, UsageReader
from lago_engine.domain.customer.fixed_charges import invoice_units
from lago_engine.domain.customer.in_advance import bill_event, waiting
from lago_engine.domain.customer.one_off import issue
from lago_engine.domain.customer.regrouping import regroup
from lago_engine.domain.customer.renewals import bill_renewals
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.customer.top_ups import finalize_paid, issue_top_up
from lago_engine.domain.customer.voiding import coupon_back, note_back
from lago_engine.domain.customer.wallet_ledger import credited, debit, debited
from lago_engine.domain.customer.wallet_schedule import apply_interval_rule, refresh_wallets
from lago_engine.domain.invoicing import applied_coupon
from lago_engine.domain.invoicing.add_on_fees import sale_of
from lago_engine.domain.invoicing.credit_note import CreditNote
from lago_engine.domain.invoicing.credit_note_amounts import note_amounts, reconciled
from lago_engine.domain.invoicing.model import Fee, Invoice, InvoicingReason

CreditEvent = (
    e.CouponUsed
    | e.CouponGivenBack
    | e.CreditNoteConsumed
    | e.CreditNoteRestored
    | e.CreditNoteCreated
    | e.WalletTransactionCreated
)
CREDIT_EVENTS = get_args(CreditEvent)

InvoiceEvent = (
    e.InvoiceDrafted | e.InvoiceRefreshed | e.InvoiceFinalized | e.InvoiceOpened | e.InvoiceClosed
)
BillingEvent = InvoiceEvent | e.FeeCreated
INVOICE_EVENTS = (
    e.InvoiceDrafted,
    e.InvoiceRefreshed,
    e.InvoiceFinalized,
    e.InvoiceOpened,
    e.InvoiceClosed,
)
WalletEvent = e.WalletBalanceRefreshed | e.WalletRuleApplied
WALLET_EVENTS = (e.WalletBalanceRefreshed, e.WalletRuleApplied)
BILLING_EVENTS = (*INVOICE_EVENTS, e.FeeCreated)


def recompute(
    event: BillingEvent,
    state: CustomerState,
    organization: OrganizationState,
    usage: UsageReader,
    in_advance: InAdvanceReader,
) -> e.DomainEvent | None:
    """The fact that today's code decides where `event` was recorded.

    state, organization and usage: as they were right before the event. None: nothing would be recorded today.
    """
    at = event.fee.created_at if isinstance(event, e.FeeCreated) else event.invoice.updated_at
    decision = Decision(state, organization, now=at, usage=usage, in_advance=in_advance)
    billed = _event_subscription(event)
    if billed is not None:
        for pending in waiting(decision, billed, limit=1):
            bill_event(decision, pending, at=at)
    elif isinstance(event, e.FeeCreated):
        return _renewal(decision, event)
    else:
        _invoice(decision, event, at=at)
    return decision.recorded[0].event if decision.recorded else None


def _invoice(decision: Decision, event: InvoiceEvent, *, at: datetime) -> None:
    invoice, state = event.invoice, decision.state
    if isinstance(event, e.InvoiceRefreshed):
        rebuilt = rebuild(decision, state.drafts[invoice.id], at=at)
        decision.record(e.InvoiceRefreshed(invoice=rebuilt))
    elif invoice.invoice_type == "advance_charges":
        regroup(decision, [state.regrouping[fee.id] for fee in invoice.fees], at=at)
    elif invoice.invoice_type == "one_off":
        sales = tuple(sale_of(fee) for fee in invoice.fees)
        issue(decision, sales, invoice.currency, at=at, collect=False)
    elif invoice.invoice_type == "credit":
        _credits_sold(decision, invoice, at=at)
    elif _is_of_units(invoice):
        fixed_charge_ids = [fee.fixed_charge.origin_id for fee in invoice.fees if fee.fixed_charge]
        subscription = state.subscriptions[invoice.links[0].subscription_id]
        invoice_units(decision, subscription, fixed_charge_ids, at=invoice.created_at)
    elif invoice.id in state.drafts:
        finalize_draft(decision, state.drafts[invoice.id], at=at)
    else:
        bill_together(
            decision,
            [(state.subscriptions[id_], reason) for id_, reason in _members(invoice)],
            at=invoice.created_at,
        )


def _credits_sold(decision: Decision, invoice: Invoice, *, at: datetime) -> None:
    opened = decision.state.open_invoices.get(invoice.id)
    if opened is not None:
        finalize_paid(decision, opened, at=at)
    else:
        (fee,) = invoice.fees
        issue_top_up(decision, decision.state.inbound[fee.item_id], at=at)


def recompute_wallet(
    event: WalletEvent,
    state: CustomerState,
    organization: OrganizationState,
    usage: UsageReader,
    at: datetime,
) -> e.DomainEvent | None:
    """Whether usage not billed yet, or the calendar, really asked for what was done to a wallet."""
    decision = Decision(state, organization, now=at, usage=usage)
    rule = event.wallet.rule
    if isinstance(event, e.WalletRuleApplied) and rule is not None and rule.trigger == "interval":
        apply_interval_rule(decision, event.wallet.id, at=at)
    else:
        refresh_wallets(decision, at=at)
    for each in decision.recorded:
        fact = each.event
        if not isinstance(fact, e.WalletBalanceRefreshed | e.WalletRuleApplied):
            continue
        if type(fact) is type(event) and fact.wallet.id == event.wallet.id:
            return fact
    return None


def _is_of_units(invoice: Invoice) -> bool:
    """Whether it bills units of fixed charges beside the periods."""
    return bool(invoice.links) and all(
        link.invoicing_reason == "in_advance_charge" for link in invoice.links
    )


def _event_subscription(event: BillingEvent) -> UUID | None:
    """The subscription whose usage event was billed, if it was one."""
    if isinstance(event, e.FeeCreated):
        fees: tuple[Fee, ...] = (event.fee.fee,)
    elif event.invoice.invoice_type == "advance_charges":
        fees = ()
    else:
        fees = event.invoice.fees
    found = (fee.subscription_id for fee in fees if not isinstance(fee.billed_event, UnsetType))
    return next(found, None)


def _renewal(decision: Decision, event: e.FeeCreated) -> e.DomainEvent | None:
    """One of the fees that a subscription's renewal gave."""
    fee = event.fee.fee
    assert fee.subscription_id is not None
    subscription = decision.state.subscriptions[fee.subscription_id]
    bill_renewals(decision, subscription, at=event.fee.created_at)
    created = (each.event for each in decision.recorded if isinstance(each.event, e.FeeCreated))
    return next((each for each in created if each.fee.fee.id == fee.id), None)


def recompute_credit(
    event: CreditEvent, state: CustomerState, organization: OrganizationState, at: datetime
) -> CreditEvent:
    """The fact that today's code makes of a credit that an invoice used or gave back, or of what a note gives back."""
    if isinstance(event, e.CouponUsed):
        coupon = state.applied_coupons[event.applied_coupon.id]
        after = applied_coupon.used(coupon, event.credit.amount_cents, at=at)
        return replace(event, applied_coupon=after)
    if isinstance(event, e.CouponGivenBack):
        coupon = state.applied_coupons[event.applied_coupon.id]
        back = coupon_back(coupon, event.amount_cents, organization, at=at)
        return replace(event, applied_coupon=back)
    if isinstance(event, e.CreditNoteRestored):
        known = state.credit_notes[event.credit_note.id]
        return replace(event, credit_note=note_back(known, event.amount_cents, at=at))
    if isinstance(event, e.CreditNoteCreated):
        return replace(event, credit_note=_amounts_again(event.credit_note, state))
    if isinstance(event, e.WalletTransactionCreated):
        return _moved_again(event, state, at)
    note = consumed(state.credit_notes[event.credit_note.id], event.amount_cents, at=at)
    return replace(event, credit_note=note)


def _moved_again(
    event: e.WalletTransactionCreated, state: CustomerState, at: datetime
) -> e.WalletTransactionCreated:
    """What an invoice took of a wallet, taken again; the balance after any other transaction."""
    moved, wallet = event.transaction, state.wallets[event.wallet.id]
    if moved.transaction_status == "invoiced":
        assert moved.invoice_id is not None
        return debit(state, wallet.id, moved.amount_cents, moved.invoice_id, at=at)
    if moved.transaction_type == "outbound":
        return replace(event, wallet=debited(wallet, moved.amount_cents, at=at))
    if moved.status != "settled":
        return replace(event, wallet=wallet)
    if moved.voided_invoice_id is not None:
        wallet = replace(wallet, consumed_cents=wallet.consumed_cents - moved.amount_cents)
    return replace(event, wallet=credited(wallet, moved.amount_cents, at=at))


def _amounts_again(note: CreditNote, state: CustomerState) -> CreditNote:
    """The note with amounts derived anew from its items and the fees of its invoice."""
    record = state.invoices[note.invoice_id]
    items = [(item.fee_id, item.precise_amount_cents) for item in note.amounts.items]
    amounts = note_amounts(note.id, fees_of(record), items, notes_of(state, record))
    amounts, total = reconciled(amounts, note.total_amount_cents)
    return replace(note, amounts=amounts, total_amount_cents=total)


def _members(invoice: Invoice) -> list[tuple[UUID, InvoicingReason]]:
    return [(link.subscription_id, link.invoicing_reason) for link in invoice.links]
