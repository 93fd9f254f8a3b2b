"""Which stream a fact belongs to: the customer's, or that of the organization's item it is about."""

from __future__ import annotations

from uuid import UUID

from lago_engine.domain import events as e


def stream_of(event: e.DomainEvent, owner_id: UUID) -> UUID:
    """`owner_id`: the customer the fact was decided for, or the organization."""
    match event:
        case e.BillableMetricCreated() | e.BillableMetricUpdated() | e.BillableMetricDeleted():
            return event.metric.id
        case e.TaxCreated() | e.TaxUpdated() | e.TaxDeleted():
            return event.tax.id
        case e.CouponCreated() | e.CouponUpdated() | e.CouponDeleted():
            return event.coupon.id
        case e.AddOnCreated() | e.AddOnUpdated() | e.AddOnDeleted():
            return event.add_on.id
        case e.PricingUnitCreated() | e.PricingUnitUpdated():
            return event.pricing_unit.id
        case e.PlanCreated() | e.PlanUpdated() | e.PlanDeletionRequested() | e.PlanDeleted():
            return event.plan.id
        case e.WebhookEndpointCreated() | e.WebhookEndpointUpdated() | e.WebhookEndpointDeleted():
            return event.endpoint.id
        case e.PaymentConnectionSet():
            return event.connection.id
        case _:
            return owner_id


CUSTOMER_EVENTS: tuple[type[e.DomainEvent], ...] = (
    e.CustomerCreated,
    e.CustomerUpdated,
    e.CustomerDeleted,
    e.SubscriptionCreated,
    e.SubscriptionStarted,
    e.SubscriptionUpdated,
    e.SubscriptionRepriced,
    e.SubscriptionTrialEnded,
    e.FixedChargeUnitsSet,
    e.SubscriptionTerminated,
    e.SubscriptionCanceled,
    e.InvoiceDrafted,
    e.InvoiceRefreshed,
    e.InvoiceFinalized,
    e.InvoiceClosed,
    e.InvoiceVoided,
    e.InvoiceDeleted,
    e.InvoicePaymentOverdue,
    e.FeeCreated,
    e.FeePaymentStatusChanged,
    e.FeeDeleted,
    e.UsagePassedOver,
    e.InvoicePaymentStatusUpdated,
    e.InvoiceMetadataSet,
    e.InvoicePaymentDisputeLost,
    e.CouponApplied,
    e.CouponUsed,
    e.CouponGivenBack,
    e.AppliedCouponTerminated,
    e.CreditNoteCreated,
    e.CreditNoteConsumed,
    e.CreditNoteRestored,
    e.CreditNoteUpdated,
    e.CreditNoteVoided,
    e.InvoiceOpened,
    e.WalletCreated,
    e.WalletUpdated,
    e.WalletTerminated,
    e.WalletRuleApplied,
    e.WalletBalanceRefreshed,
    e.WalletTransactionCreated,
    e.WalletTransactionSettled,
    e.WalletTransactionFailed,
    e.RequestBooked,
    e.RefundRequested,
    e.RefundStatusChanged,
    e.PaymentRequested,
    e.PaymentRecorded,
    e.PaymentStatusChanged,
    e.PaymentLinkOpened,
    e.PaymentCancelRequested,
    e.DocumentGenerated,
)
