"""`coupon` and `applied_coupon` documents (coupons_wallets_credit_notes.md §1, §2)."""

from __future__ import annotations

from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.decimals import to_wire
from lago_engine.domain.events import (
    AppliedCouponTerminated,
    CouponApplied,
    CouponCreated,
    CouponDeleted,
    CouponGivenBack,
    CouponUpdated,
    CouponUsed,
    DomainEvent,
)
from lago_engine.domain.invoicing.applied_coupon import AppliedCoupon
from lago_engine.domain.invoicing.model import Credit
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.coupons import coupon_object
from lago_engine.projecting.wire import (
    Members,
    encode,
    instant,
    instant_or_none,
    members,
    members_list,
    read_string,
    sort_key,
)


class CouponProjection(Projection):
    """Live coupons; key: code. They are shown through `present`, which knows the time and the codes of now."""

    name = "coupons"
    kinds = ("coupon",)
    handles = (CouponCreated, CouponUpdated, CouponDeleted)

    def apply(self, event: DomainEvent, context: Context) -> None:
        assert isinstance(event, CouponCreated | CouponUpdated | CouponDeleted)
        coupon = event.coupon
        if isinstance(event, CouponDeleted):
            context.delete("coupon", coupon.code)
            return
        if isinstance(event, CouponUpdated) and event.previous_code != coupon.code:
            context.delete("coupon", event.previous_code)
        body = encode(coupon_object(coupon, context.organization, context.occurred_at))
        context.put("coupon", coupon.code, body, sort_key=sort_key(coupon.created_at))


class AppliedCouponProjection(Projection):
    """Coupons of customers, with what they took off invoices that stand; key: lago_id."""

    name = "applied_coupons"
    kinds = ("applied_coupon",)
    handles = (CouponApplied, CouponUsed, CouponGivenBack, AppliedCouponTerminated)

    def apply(self, event: DomainEvent, context: Context) -> None:
        assert isinstance(
            event, CouponApplied | CouponUsed | CouponGivenBack | AppliedCouponTerminated
        )
        applied = event.applied_coupon
        if isinstance(event, CouponApplied):
            _put(applied_coupon_object(applied, event.customer) | {"credits": []}, applied, context)
            return
        document = members(context.require("applied_coupon", str(applied.id)))
        document |= _changing(applied)
        credits = members_list(document["credits"])
        if isinstance(event, CouponUsed):
            # Its payment status is that of the invoice when it is read.
            invoice = {"lago_id": event.invoice_id, "payment_status": "pending"}
            credits.append(credit_object(event.credit, event.currency, invoice))
        elif isinstance(event, CouponGivenBack):
            credits = [each for each in credits if _invoice_id(each) != str(event.invoice_id)]
        _put(document | {"credits": credits}, applied, context)


def applied_coupon_object(applied: AppliedCoupon, customer: CustomerProfile) -> Members:
    """A coupon of a customer; what its coupon says is added when it is read."""
    rate = applied.percentage_rate
    return {
        "lago_id": applied.id,
        "lago_coupon_id": applied.coupon_id,
        "coupon_code": applied.coupon_code,
        "lago_customer_id": customer.id,
        "external_customer_id": customer.external_id,
        "amount_cents": applied.amount_cents,
        "amount_currency": applied.amount_currency,
        "percentage_rate": None if rate is None else to_wire(rate),
        "frequency": applied.frequency,
        "frequency_duration": applied.frequency_duration,
        "created_at": instant(applied.created_at),
        **_changing(applied),
    }


def _invoice_id(credit: Members) -> str:
    return read_string(members(credit["invoice"])["lago_id"])


def _changing(applied: AppliedCoupon) -> Members:
    return {
        "status": applied.status,
        "amount_cents_remaining": applied.amount_cents_remaining,
        "frequency_duration_remaining": applied.frequency_duration_remaining,
        "terminated_at": instant_or_none(applied.terminated_at),
    }


def credit_object(credit: Credit, currency: str, invoice: Members) -> Members:
    """Something that made an invoice cheaper. invoice: its id and payment status."""
    return {
        "lago_id": credit.id,
        "amount_cents": credit.amount_cents,
        "amount_currency": currency,
        "before_taxes": credit.before_taxes,
        "item": {
            "lago_item_id": credit.item_id,
            "type": credit.item_type,
            "code": credit.item_code,
            "name": credit.item_name,
            "description": credit.item_description,
        },
        "invoice": invoice,
    }


def _put(document: Members, applied: AppliedCoupon, context: Context) -> None:
    context.put(
        "applied_coupon",
        str(applied.id),
        encode(document),
        parent=read_string(document["external_customer_id"]),
        sort_key=sort_key(applied.created_at),
    )
