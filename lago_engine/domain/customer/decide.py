"""Customer commands to facts: the one entry of everything decided about a customer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import singledispatch

from lago_engine.domain import commands as c
from lago_engine.domain import events as e
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer import due
from lago_engine.domain.customer.billing import finalize_draft, rebuild
from lago_engine.domain.customer.booking import is_repeated, remember
from lago_engine.domain.customer.catalog_changes import (
    follow_add_on,
    follow_metric,
    follow_plan,
    leave_plan,
    refresh_drafts,
)
from lago_engine.domain.customer.coupons import apply_coupon, terminate_applied_coupon
from lago_engine.domain.customer.credit_notes import (
    change_metadata,
    create_credit_note,
    update_credit_note,
    void_credit_note,
)
from lago_engine.domain.customer.decision import Decision, InAdvanceReader, Recorded, UsageReader
from lago_engine.domain.customer.deletion import OF_LIVE_CUSTOMERS, delete_customer
from lago_engine.domain.customer.fees import delete_fee, update_fee
from lago_engine.domain.customer.in_advance import bill_in_advance
from lago_engine.domain.customer.invoice_updates import (
    delete_draft,
    lose_dispute,
    refuse_retry,
    update_invoice,
)
from lago_engine.domain.customer.one_off import create_one_off
from lago_engine.domain.customer.payment_links import open_link
from lago_engine.domain.customer.payments import (
    PaymentOutcome,
    record_manual_payment,
    record_outcome,
    retry_payment,
)
from lago_engine.domain.customer.price_overrides import (
    create_filter_override,
    delete_filter_override,
    override_charge,
    override_filter,
    override_fixed_charge,
)
from lago_engine.domain.customer.profiles import link_provider_customer, upsert_customer
from lago_engine.domain.customer.refunds import record_refund_outcome
from lago_engine.domain.customer.state import CustomerState, PaymentLink
from lago_engine.domain.customer.subscription_updates import update_subscription
from lago_engine.domain.customer.subscriptions import create_subscription
from lago_engine.domain.customer.termination import terminate_on_request
from lago_engine.domain.customer.top_ups import follow_payments
from lago_engine.domain.customer.voiding import void_invoice
from lago_engine.domain.customer.wallet_schedule import refresh_wallets
from lago_engine.domain.customer.wallet_transactions import create_transactions
from lago_engine.domain.customer.wallets import (
    change_metadata as change_wallet_metadata,
)
from lago_engine.domain.customer.wallets import (
    create_wallet,
    update_wallet,
)
from lago_engine.domain.customer.wallets import (
    terminate_on_request as terminate_wallet_on_request,
)
from lago_engine.domain.invoicing.model import Invoice
from lago_engine.errors import NotFound


def decide_customer(
    state: CustomerState | None,
    command: c.CustomerCommand,
    *,
    organization: OrganizationState,
    now: datetime,
    usage: UsageReader,
    in_advance: InAdvanceReader | None = None,
) -> Sequence[Recorded]:
    """The facts that `command` adds; raises DomainError and changes nothing when it is refused."""
    decision = Decision(state, organization, now=now, usage=usage, in_advance=in_advance)
    if state is None and not isinstance(command, c.UpsertCustomer | c.CreateSubscription):
        raise NotFound(_missing(command))
    booking = command if isinstance(command, c.BookingCommand) else None
    if booking is not None and is_repeated(decision, booking):
        return ()
    if state is not None and state.profile.deleted_at and isinstance(command, OF_LIVE_CUSTOMERS):
        raise NotFound("customer")
    _decide(command, decision)
    follow_payments(decision)
    if booking is not None:
        remember(decision, booking)
    return decision.recorded


def _missing(command: c.CustomerCommand) -> str:
    """What a command about an unknown customer did not find."""
    if isinstance(command, c.TerminateSubscription | c.UpdateSubscription):
        return "subscription"
    if isinstance(command, c.RecordPaymentOutcome):
        return "payment"
    return (
        "customer"
        if isinstance(
            command,
            c.AdvanceTime
            | c.ApplyCoupon
            | c.CreateOneOffInvoice
            | c.CreateWallet
            | c.DeleteCustomer,
        )
        else "invoice"
    )


@singledispatch
def _decide(command: c.CustomerCommand, decision: Decision) -> None:
    raise TypeError(f"{type(command).__name__} is not a customer command")


@_decide.register
def _(command: c.UpsertCustomer, decision: Decision) -> None:
    upsert_customer(decision, command.external_id, command.input)


@_decide.register
def _(command: c.DeleteCustomer, decision: Decision) -> None:
    delete_customer(decision)


@_decide.register
def _(command: c.LinkProviderCustomer, decision: Decision) -> None:
    link_provider_customer(decision, command.provider_customer_id)


@_decide.register
def _(command: c.CreateSubscription, decision: Decision) -> None:
    create_subscription(decision, command.input, taken_elsewhere=command.taken_elsewhere)


@_decide.register
def _(command: c.UpdateSubscription, decision: Decision) -> None:
    update_subscription(decision, command.subscription_id, command.input)


@_decide.register
def _(command: c.OverrideCharge, decision: Decision) -> None:
    override_charge(decision, command.subscription_id, command.code, command.input)


@_decide.register
def _(command: c.CreateFilterOverride, decision: Decision) -> None:
    create_filter_override(decision, command.subscription_id, command.code, command.input)


@_decide.register
def _(command: c.OverrideFilter, decision: Decision) -> None:
    override_filter(
        decision, command.subscription_id, command.code, command.filter_id, command.input
    )


@_decide.register
def _(command: c.DeleteFilterOverride, decision: Decision) -> None:
    delete_filter_override(decision, command.subscription_id, command.code, command.filter_id)


@_decide.register
def _(command: c.OverrideFixedCharge, decision: Decision) -> None:
    override_fixed_charge(decision, command.subscription_id, command.code, command.input)


@_decide.register
def _(command: c.TerminateSubscription, decision: Decision) -> None:
    terminate_on_request(decision, command.external_id, command.input)


@_decide.register
def _(command: c.FollowPlan, decision: Decision) -> None:
    follow_plan(
        decision,
        command.plan_id,
        command.version,
        cascade=command.cascade,
        at_once=frozenset(command.applied_at_once),
    )


@_decide.register
def _(command: c.FollowMetric, decision: Decision) -> None:
    follow_metric(decision, command.metric_id)


@_decide.register
def _(command: c.FollowAddOn, decision: Decision) -> None:
    follow_add_on(decision, command.add_on_id)


@_decide.register
def _(command: c.RefreshDrafts, decision: Decision) -> None:
    refresh_drafts(decision, command.plan_id)


@_decide.register
def _(command: c.LeavePlan, decision: Decision) -> None:
    leave_plan(decision, command.plan_id)


@_decide.register
def _(command: c.RefreshInvoice, decision: Decision) -> None:
    draft = decision.state.drafts.get(command.invoice_id)
    if draft is None:
        if command.invoice_id not in decision.state.invoices:
            raise NotFound("invoice")
        return
    rebuilt = rebuild(decision, draft, at=decision.now)
    decision.record(e.InvoiceRefreshed(invoice=rebuilt))


@_decide.register
def _(command: c.FinalizeInvoice, decision: Decision) -> None:
    draft: Invoice | None = decision.state.drafts.get(command.invoice_id)
    if draft is None:
        raise NotFound("invoice")
    finalize_draft(decision, draft, at=decision.now)


@_decide.register
def _(command: c.VoidInvoice, decision: Decision) -> None:
    void_invoice(decision, command.invoice_id, command.input)


@_decide.register
def _(command: c.CreateOneOffInvoice, decision: Decision) -> None:
    create_one_off(decision, command.input)


@_decide.register
def _(command: c.UpdateInvoice, decision: Decision) -> None:
    update_invoice(decision, command.invoice_id, command.input)


@_decide.register
def _(command: c.LoseDispute, decision: Decision) -> None:
    lose_dispute(decision, command.invoice_id)


@_decide.register
def _(command: c.RetryInvoice, decision: Decision) -> None:
    refuse_retry(decision, command.invoice_id)


@_decide.register
def _(command: c.DeleteInvoice, decision: Decision) -> None:
    delete_draft(decision, command.invoice_id)


@_decide.register
def _(command: c.ApplyCoupon, decision: Decision) -> None:
    apply_coupon(decision, command.input)


@_decide.register
def _(command: c.TerminateAppliedCoupon, decision: Decision) -> None:
    terminate_applied_coupon(decision, command.applied_coupon_id)


@_decide.register
def _(command: c.CreateWallet, decision: Decision) -> None:
    create_wallet(decision, command.input)


@_decide.register
def _(command: c.UpdateWallet, decision: Decision) -> None:
    update_wallet(decision, command.wallet_id, command.input)


@_decide.register
def _(command: c.TerminateWallet, decision: Decision) -> None:
    terminate_wallet_on_request(decision, command.wallet_id)


@_decide.register
def _(command: c.ChangeWalletMetadata, decision: Decision) -> None:
    change_wallet_metadata(decision, command.wallet_id, command.change, command.input)


@_decide.register
def _(command: c.RefreshWallets, decision: Decision) -> None:
    refresh_wallets(decision, at=decision.now)


@_decide.register
def _(command: c.CreateWalletTransactions, decision: Decision) -> None:
    create_transactions(decision, command.wallet_id, command.input)


@_decide.register
def _(command: c.CreateCreditNote, decision: Decision) -> None:
    create_credit_note(decision, command.invoice_id, command.input)


@_decide.register
def _(command: c.UpdateCreditNote, decision: Decision) -> None:
    update_credit_note(decision, command.credit_note_id, command.input)


@_decide.register
def _(command: c.ChangeCreditNoteMetadata, decision: Decision) -> None:
    change_metadata(decision, command.credit_note_id, command.change, command.input)


@_decide.register
def _(command: c.VoidCreditNote, decision: Decision) -> None:
    void_credit_note(decision, command.credit_note_id)


@_decide.register
def _(command: c.RecordManualPayment, decision: Decision) -> None:
    record_manual_payment(decision, command.invoice_id, command.input)


@_decide.register
def _(command: c.RetryPayment, decision: Decision) -> None:
    retry_payment(decision, command.invoice_id)


@_decide.register
def _(command: c.RecordPaymentOutcome, decision: Decision) -> None:
    outcome = command.outcome
    assert isinstance(outcome, PaymentOutcome)
    record_outcome(decision, command.payment_id, outcome)


@_decide.register
def _(command: c.BillUsageInAdvance, decision: Decision) -> None:
    bill_in_advance(decision, command.subscription_ids)


@_decide.register
def _(command: c.UpdateFee, decision: Decision) -> None:
    update_fee(decision, command.fee_id, command.input, regroup=command.regroup)


@_decide.register
def _(command: c.DeleteFee, decision: Decision) -> None:
    delete_fee(decision, command.fee_id, regroup=command.regroup)


@_decide.register
def _(command: c.RecordPaymentLink, decision: Decision) -> None:
    link = command.link
    assert isinstance(link, PaymentLink)
    open_link(decision, link)


@_decide.register
def _(command: c.RecordRefundOutcome, decision: Decision) -> None:
    outcome = command.outcome
    assert isinstance(outcome, PaymentOutcome)
    record_refund_outcome(decision, command.credit_note_id, outcome)


@_decide.register
def _(command: c.RecordDocument, decision: Decision) -> None:
    decision.record(e.DocumentGenerated(document=command.document))


@_decide.register
def _(command: c.AdvanceTime, decision: Decision) -> None:
    if command.tasks is None:
        due.advance(decision, command.until)
    else:
        due.run_tasks(decision, command.tasks, command.until)
