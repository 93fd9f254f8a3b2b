"""Invoices put together from given fees, coupons and credit notes, without an engine."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Coupon, Organization, Tax
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.invoicing.applied_coupon import AppliedCoupon
from lago_engine.domain.invoicing.builder import assemble
from lago_engine.domain.invoicing.credit_note import CreditNote, CreditNoteAmounts
from lago_engine.domain.invoicing.dates import immediate_dates
from lago_engine.domain.invoicing.kinds import InvoiceKind
from lago_engine.domain.invoicing.model import Fee, Invoice
from lago_engine.domain.invoicing.work import InvoiceInput, Line

OWNER = UUID("0196f3a0-0000-8000-8000-0000abcd7f21")
NOW = datetime(2026, 5, 1, tzinfo=UTC)
METRIC, OTHER_METRIC, PLAN = (ids.derive(OWNER, name) for name in ("M", "N", "plan"))

ORGANIZATION = OrganizationState(
    organization=Organization(
        id=OWNER,
        name="Acme",
        created_at=NOW,
        hmac_key="k",
        document_number_prefix="ACM-7F21",
        billing_entity_code="acme",
    )
)
PROFILE = CustomerProfile(
    id=ids.derive(OWNER, "customer"),
    organization_id=OWNER,
    external_id="c1",
    sequential_id=12,
    slug="ACM-7F21-012",
    billing_entity_code="acme",
    created_at=NOW,
    updated_at=NOW,
)


def tax(code: str, rate: str) -> Tax:
    return Tax(id=ids.derive(OWNER, code), code=code, name=code, rate=Decimal(rate), created_at=NOW)


VAT, CITY = tax("VAT", "20"), tax("CITY", "5.5")


def line(number: int, amount: int, *taxes: Tax, metric: UUID | None = None) -> Line:
    """A subscription fee, or the usage of a metric."""
    fee = Fee(
        id=ids.derive(OWNER, "fee", number),
        fee_type="subscription" if metric is None else "charge",
        subscription_id=OWNER,
        external_subscription_id="s1",
        item_id=metric or OWNER,
        item_type="Subscription" if metric is None else "BillableMetric",
        item_code="code",
        item_name="Name",
        item_description=None,
        invoice_display_name="Name",
        amount_cents=amount,
        precise_amount_cents=Decimal(amount),
        units=Decimal(1),
        unit_amount_cents=amount,
        precise_unit_amount=Decimal(amount) / 100,
        amount_details={},
        pay_in_advance=False,
        from_datetime=NOW,
        to_datetime=NOW,
    )
    return Line(fee, taxes, (PLAN,))


def coupon(code: str, **given: Any) -> tuple[AppliedCoupon, Coupon]:
    """A coupon with its application; given: members of the application, and the limits of the coupon."""
    limits = {key: given.pop(key) for key in ("billable_metric_ids", "plan_ids") if key in given}
    coupon_id = ids.derive(OWNER, "coupon", code)
    facts: dict[str, Any] = {"frequency": "once", **given}
    if "amount_cents" in facts:
        facts.setdefault("amount_currency", "EUR")
    applied = AppliedCoupon(
        id=ids.derive(coupon_id, "applied"),
        coupon_id=coupon_id,
        coupon_code=code,
        created_at=NOW,
        **facts,
    )
    kind = "percentage" if applied.percentage_rate is not None else "fixed_amount"
    return applied, Coupon(
        id=coupon_id,
        code=code,
        name=code.title(),
        coupon_type=kind,
        frequency=applied.frequency,
        expiration="no_expiration",
        created_at=NOW,
        **limits,
    )


def note(number: int, balance: int, **given: Any) -> CreditNote:
    nothing = CreditNoteAmounts(
        items=(),
        applied_taxes=(),
        coupons_adjustment_amount_cents=0,
        precise_coupons_adjustment_amount_cents=Decimal(0),
        taxes_amount_cents=0,
        precise_taxes_amount_cents=Decimal(0),
        taxes_rate=Decimal(0),
        sub_total_excluding_taxes_amount_cents=balance,
        precise_total_amount_cents=Decimal(balance),
    )
    facts: dict[str, Any] = {"currency": "EUR", "amounts": nothing, **given}
    return CreditNote(
        id=ids.derive(OWNER, "note", number),
        customer_id=PROFILE.id,
        invoice_id=ids.derive(OWNER, "earlier"),
        invoice_number="ACM-7F21-012-001",
        billing_entity_code="acme",
        sequential_id=number,
        number=f"ACM-7F21-012-001-CN{number:03d}",
        issuing_date=date(2026, 4, 1),
        reason="other",
        total_amount_cents=balance,
        credit_amount_cents=balance,
        refund_amount_cents=0,
        offset_amount_cents=0,
        balance_amount_cents=balance,
        created_at=NOW,
        updated_at=NOW,
        **facts,
    )


def built(lines: list[Line], kind: InvoiceKind = "subscription", **given: Any) -> Invoice:
    facts: dict[str, Any] = {"currency": "EUR", **given}
    inputs = InvoiceInput(
        invoice_id=ids.derive(OWNER, "invoice"),
        kind=kind,
        organization=ORGANIZATION,
        profile=PROFILE,
        items=(),
        dates=immediate_dates(NOW.date(), 0),
        created_at=NOW,
        **facts,
    )
    return assemble(inputs, lines, now=NOW)


EXAMPLE = [
    line(1, 10_000, VAT),
    line(2, 3_333, VAT, metric=METRIC),
    line(3, 1_234, VAT, CITY, metric=OTHER_METRIC),
]
K1 = coupon("k1", percentage_rate=Decimal(10), billable_metric_ids=(METRIC,))
K2 = coupon("k2", amount_cents=2_000)
