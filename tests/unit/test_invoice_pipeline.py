"""The steps of the invoice builder (invoices.md §5, §6): the worked example to the cent, and what always holds."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import Coupon, Organization, Tax
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.decimals import round_half_up
from lago_engine.domain.invoicing.applied_coupon import AppliedCoupon
from lago_engine.domain.invoicing.builder import assemble
from lago_engine.domain.invoicing.credit_note import CreditNote, CreditNoteAmounts
from lago_engine.domain.invoicing.dates import immediate_dates
from lago_engine.domain.invoicing.kinds import STEPS, InvoiceKind
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
    facts: dict[str, Any] = {"currency": "EUR", **given}
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
        amounts=nothing,
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


# --- the worked example ------------------------------------------------------------------------

EXAMPLE = [
    line(1, 10_000, VAT),
    line(2, 3_333, VAT, metric=METRIC),
    line(3, 1_234, VAT, CITY, metric=OTHER_METRIC),
]
K1 = coupon("k1", percentage_rate=Decimal(10), billable_metric_ids=(METRIC,))
K2 = coupon("k2", amount_cents=2_000)


def decimals(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


def test_the_worked_example_of_the_specification() -> None:
    """invoices.md §6.7, up to prepaid credits."""
    invoice = built(EXAMPLE, coupons=[K2, K1], credit_notes=[note(1, 1_500)])
    assert invoice.fees_amount_cents == 14_567
    assert [(c.item_code, c.amount_cents) for c in invoice.credits or ()] == [
        ("k1", 333),
        ("k2", 2_000),
        ("ACM-7F21-012-001-CN001", 1_500),
    ]
    assert [fee.precise_coupons_amount_cents for fee in invoice.fees] == decimals(
        "1405.08641", "754.52592", "173.38766"
    )
    assert invoice.sub_total_excluding_taxes_amount_cents == 12_234
    assert [fee.taxes_amount_cents for fee in invoice.fees] == [1_719, 516, 270]
    assert [fee.precise_taxes_amount_cents for fee in invoice.fees] == decimals(
        "1718.982718", "515.694816", "270.4561467"
    )
    assert [[tax.amount_cents for tax in fee.taxes] for fee in invoice.fees] == [
        [1_719], [516], [212, 58],
    ]  # fmt: skip
    assert [(t.tax_code, t.amount_cents, t.fees_amount_cents) for t in invoice.applied_taxes] == [
        ("VAT", 2_447, 12_234),
        ("CITY", 58, 1_060),
    ]
    assert (invoice.taxes_amount_cents, invoice.taxes_rate) == (2_505, Decimal("20.47682"))
    assert invoice.sub_total_including_taxes_amount_cents == 14_739
    assert [fee.precise_credit_notes_amount_cents for fee in invoice.fees] == decimals(
        "1049.65536", "314.92714", "135.41750"
    )
    assert (invoice.total_amount_cents, invoice.payment_status) == (13_239, "pending")


def test_taxes_are_rounded_once_on_the_sum() -> None:
    """invoices.md §6.4: three fees of 33 at 10 %."""
    invoice = built([line(number, 33, tax("TEN", "10")) for number in range(3)])
    assert [fee.taxes_amount_cents for fee in invoice.fees] == [3, 3, 3]
    assert invoice.taxes_amount_cents == 10


# --- single rules ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "coupons", "notes"),
    [
        ("subscription_draft", 0, 0),
        ("subscription", 2, 1),
        ("in_advance_charge", 2, 1),
        ("progressive_billing", 2, 1),
        ("one_off", 0, 0),
    ],
)
def test_which_steps_apply(kind: InvoiceKind, coupons: int, notes: int) -> None:
    invoice = built(EXAMPLE, kind, coupons=[K1, K2], credit_notes=[note(1, 1_500)])
    assert len(invoice.credits_of("coupon")) == coupons
    assert len(invoice.credits_of("credit_note")) == notes
    assert invoice.taxes_amount_cents > 0


@pytest.mark.parametrize(
    ("applied", "amounts"),
    [
        ([coupon("all", percentage_rate=Decimal(150))], [14_567]),
        ([coupon("left", amount_cents=500, credited_cents=200)], [300]),
        ([coupon("again", amount_cents=500, credited_cents=200, frequency="forever")], [500]),
        ([coupon("dollars", amount_cents=500, amount_currency="USD")], []),
        ([coupon("half", percentage_rate=Decimal("0.05"))], [7]),
        ([coupon("tiny", percentage_rate=Decimal("0.001"))], []),
        ([coupon("plan", amount_cents=99_999, plan_ids=(PLAN,))], [14_567]),
        ([coupon("other plan", amount_cents=99_999, plan_ids=(METRIC,))], []),
        ([coupon("m", amount_cents=99_999, billable_metric_ids=(METRIC, OTHER_METRIC))], [4_567]),
        # Limited to metrics, then to plans; nothing is left for the last one.
        (
            [
                coupon("u", amount_cents=10),
                coupon("p", percentage_rate=Decimal(100), plan_ids=(PLAN,)),
                coupon("m", amount_cents=33, billable_metric_ids=(METRIC,)),
            ],
            [33, 14_534],
        ),
    ],
)
def test_what_a_coupon_takes_off(
    applied: list[tuple[AppliedCoupon, Coupon]], amounts: list[int]
) -> None:
    invoice = built(EXAMPLE, coupons=applied)
    assert [credit.amount_cents for credit in invoice.credits_of("coupon")] == amounts


def test_credit_notes_are_used_oldest_first_in_their_currency() -> None:
    notes = [note(1, 100), note(2, 9_999, currency="USD"), note(3, 900), note(4, 50)]
    invoice = built([line(1, 500)], credit_notes=notes)
    assert [(c.item_code[-3:], c.amount_cents) for c in invoice.credits or ()] == [
        ("001", 100),
        ("003", 400),
    ]
    assert (invoice.total_amount_cents, invoice.payment_status) == (0, "succeeded")
    assert invoice.fees[0].precise_credit_notes_amount_cents == 500


# --- what always holds -------------------------------------------------------------------------

CURRENCIES = ("JPY", "EUR", "KWD")
AMOUNTS = st.integers(0, 10**6)
RATES = st.decimals(0, 100, places=3)
LIMITS = st.sampled_from(
    [{}, {"plan_ids": (PLAN,)}, {"billable_metric_ids": (METRIC,)}, {"plan_ids": (METRIC,)}]
)


@st.composite
def coupons(draw: st.DrawFn) -> list[tuple[AppliedCoupon, Coupon]]:
    values = st.one_of(
        st.fixed_dictionaries({"percentage_rate": RATES}),
        st.fixed_dictionaries(
            {"amount_cents": st.integers(1, 10**6), "amount_currency": st.sampled_from(CURRENCIES)}
        ),
    )
    given = draw(st.lists(st.tuples(values, LIMITS), max_size=4))
    return [coupon(f"c{number}", **value, **limit) for number, (value, limit) in enumerate(given)]


@st.composite
def fee_lines(draw: st.DrawFn) -> list[Line]:
    taxes = [tax(f"t{n}", str(rate)) for n, rate in enumerate(draw(st.lists(RATES, max_size=3)))]
    metrics = st.sampled_from([None, METRIC, OTHER_METRIC])
    drawn = draw(st.lists(st.tuples(AMOUNTS, metrics), max_size=6))
    return [
        line(
            number, amount, *draw(st.permutations(taxes))[: draw(st.integers(0, 3))], metric=metric
        )
        for number, (amount, metric) in enumerate(drawn)
    ]


@given(
    fees=fee_lines(),
    discounts=coupons(),
    balances=st.lists(st.integers(1, 10**6), max_size=3),
    currency=st.sampled_from(CURRENCIES),
    kind=st.sampled_from(sorted(STEPS)),
)
def test_the_sums_of_an_invoice(
    fees: list[Line],
    discounts: list[tuple[AppliedCoupon, Coupon]],
    balances: list[int],
    currency: str,
    kind: InvoiceKind,
) -> None:
    notes = [note(n, balance, currency=currency) for n, balance in enumerate(balances, 1)]
    invoice = built(fees, kind, currency=currency, coupons=discounts, credit_notes=notes)
    off, paid = invoice.credited_cents("coupon"), invoice.credited_cents("credit_note")
    assert invoice.fees_amount_cents == sum(fee.amount_cents for fee in invoice.fees)
    assert invoice.sub_total_excluding_taxes_amount_cents == invoice.fees_amount_cents - off
    assert (
        invoice.total_amount_cents
        == invoice.fees_amount_cents - off + invoice.taxes_amount_cents - paid
        >= 0
    )
    assert paid <= sum(balances)
    assert all(credit.amount_cents > 0 for credit in invoice.credits or ())
    for fee in invoice.fees:
        assert 0 <= fee.precise_coupons_amount_cents <= fee.amount_cents
    # What is spread over the fees is what was credited, but for the fifth decimal and one rounding per coupon.
    spread = sum((fee.precise_coupons_amount_cents for fee in invoice.fees), Decimal(0))
    assert abs(round_half_up(spread) - off) <= len(invoice.credits_of("coupon"))


@given(rate=RATES, amounts=st.lists(AMOUNTS, min_size=1, max_size=5), fixed=st.integers(1, 10**6))
def test_a_coupon_never_takes_more_than_its_value(
    rate: Decimal, amounts: list[int], fixed: int
) -> None:
    fees = [line(number, amount) for number, amount in enumerate(amounts)]
    percent = built(fees, coupons=[coupon("p", percentage_rate=rate)])
    assert abs(percent.credited_cents("coupon") - sum(amounts) * rate / 100) <= Decimal("0.5")
    flat = built(fees, coupons=[coupon("f", amount_cents=fixed)])
    assert flat.credited_cents("coupon") == min(fixed, sum(amounts))
