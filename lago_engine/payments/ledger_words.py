"""What the ledger knows of payments in the words of providers, and back."""

from __future__ import annotations

from lago_engine.domain.customer.payments import PaymentOutcome
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import Payment
from lago_engine.payments.interface import (
    ActionRequired,
    ChargeRequest,
    CustomerRef,
    Declined,
    Money,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)


def charge_request(payment: Payment, customer: CustomerProfile) -> ChargeRequest:
    """What the provider is asked to collect."""
    return ChargeRequest(
        payment_id=str(payment.id),
        amount=Money(payment.amount_cents, payment.amount_currency),
        customer=customer_ref(customer),
        invoice_ids=(str(payment.invoice_id),),
        description=f"Invoice {payment.invoice_number}",
        metadata={
            "lago_payment_id": str(payment.id),
            "lago_invoice_id": str(payment.invoice_id),
            "lago_customer_id": str(customer.id),
        },
    )


def customer_ref(customer: CustomerProfile) -> CustomerRef:
    """Who pays, as providers see it."""
    return CustomerRef(
        lago_id=str(customer.id),
        external_id=customer.external_id,
        email=customer.email,
        name=customer.name or customer.legal_name,
        provider_customer_id=customer.billing_configuration.provider_customer_id,
    )


def ledger_outcome(outcome: Outcome) -> PaymentOutcome:
    """A provider's outcome as the ledger keeps it (payments.md §5)."""
    match outcome:
        case Succeeded():
            return PaymentOutcome(
                status=outcome.provider_status,
                payment_status="succeeded",
                provider_payment_id=outcome.provider_ref,
            )
        case Pending():
            return PaymentOutcome(
                status=outcome.provider_status,
                payment_status="processing",
                provider_payment_id=outcome.provider_ref,
            )
        case ActionRequired():
            return PaymentOutcome(
                status=outcome.provider_status,
                payment_status="processing",
                provider_payment_id=outcome.provider_ref,
                action_url=outcome.url,
            )
        case Declined():
            return PaymentOutcome(
                status=outcome.provider_status,
                payment_status="failed",
                provider_payment_id=outcome.provider_ref,
                error_code=outcome.provider_code or outcome.code,
                error_message=outcome.message,
            )
        case Unknown():
            raise AssertionError("an unknown outcome is reconciled, not recorded")
