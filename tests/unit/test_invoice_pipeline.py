"""The steps of the invoice builder (invoices.md §5, §6): the worked example to the cent, and what always holds."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invoice_kit import EXAMPLE, K1, K2, METRIC, OTHER_METRIC, PLAN, built, coupon, line, note, tax

from lago_engine.domain.catalog.entities import Coupon
from lago_engine.domain.decimals import round_half_up
from lago_engine.domain.invoicing.applied_coupon import AppliedCoupon
from lago_engine.domain.invoicing.kinds import STEPS, InvoiceKind
from lago_engine.domain.invoicing.work import Line

# --- the worked example ------------------------------------------------------------------------


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
