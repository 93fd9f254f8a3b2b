"""Issuing, finalization and due dates: every cell of the tables of the contract."""

from __future__ import annotations

from datetime import date

import pytest

from lago_engine.domain.invoicing.dates import (
    InvoiceDates,
    IssuingAdjustment,
    IssuingAnchor,
    IssuingSettings,
    finalized_dates,
    immediate_dates,
    issuing_adjustment,
    redated_draft,
    subscription_dates,
)

NEXT: IssuingAnchor = "next_period_start"
END: IssuingAnchor = "current_period_end"
ALIGN: IssuingAdjustment = "align_with_finalization_date"
KEEP: IssuingAdjustment = "keep_anchor"


def settings(
    anchor: IssuingAnchor, adjustment: IssuingAdjustment, grace: int, term: int = 15
) -> IssuingSettings:
    return IssuingSettings(
        grace_period=grace, net_payment_term=term, anchor=anchor, adjustment=adjustment
    )


@pytest.mark.parametrize(
    ("anchor", "adjustment", "grace", "periodic", "other"),
    [
        (NEXT, ALIGN, 0, 0, 0),
        (NEXT, ALIGN, 3, 3, 3),
        (NEXT, KEEP, 0, 0, 0),
        (NEXT, KEEP, 3, 0, 3),
        (END, ALIGN, 0, -1, 0),
        (END, ALIGN, 3, 3, 3),
        (END, KEEP, 0, -1, 0),
        (END, KEEP, 3, -1, 3),
    ],
)
def test_adjustment_table(
    anchor: IssuingAnchor, adjustment: IssuingAdjustment, grace: int, periodic: int, other: int
) -> None:
    given = settings(anchor, adjustment, grace)
    assert issuing_adjustment(given, periodic=True) == periodic
    assert issuing_adjustment(given, periodic=False) == other


def test_defaults_align_with_finalization_at_the_start_of_the_next_period() -> None:
    assert IssuingSettings() == settings(NEXT, ALIGN, grace=0, term=0)


@pytest.mark.parametrize(
    ("anchor", "adjustment", "grace", "issuing", "due", "expected"),
    [
        (NEXT, ALIGN, 3, (2026, 5, 4), (2026, 5, 19), (2026, 5, 4)),
        (NEXT, KEEP, 3, (2026, 5, 1), (2026, 5, 16), (2026, 5, 4)),
        (END, KEEP, 3, (2026, 4, 30), (2026, 5, 15), (2026, 5, 4)),
        (END, ALIGN, 3, (2026, 5, 4), (2026, 5, 19), (2026, 5, 4)),
        (END, ALIGN, 0, (2026, 4, 30), (2026, 5, 15), (2026, 5, 1)),
    ],
)
def test_period_of_april_billed_on_1_may(
    anchor: IssuingAnchor,
    adjustment: IssuingAdjustment,
    grace: int,
    issuing: tuple[int, int, int],
    due: tuple[int, int, int],
    expected: tuple[int, int, int],
) -> None:
    given = settings(anchor, adjustment, grace)
    assert subscription_dates(date(2026, 5, 1), given, periodic=True) == InvoiceDates(
        issuing_date=date(*issuing),
        expected_finalization_date=date(*expected),
        payment_due_date=date(*due),
        net_payment_term=15,
    )


@pytest.mark.parametrize(
    ("anchor", "adjustment", "grace", "issuing"),
    [
        (NEXT, ALIGN, 0, (2024, 7, 1)),
        (NEXT, ALIGN, 5, (2024, 7, 6)),
        (NEXT, KEEP, 5, (2024, 7, 1)),
        (END, KEEP, 0, (2024, 6, 30)),
        (END, KEEP, 5, (2024, 6, 30)),
        (END, ALIGN, 0, (2024, 6, 30)),
        (END, ALIGN, 5, (2024, 7, 6)),
    ],
)
def test_june_billed_on_1_july(
    anchor: IssuingAnchor, adjustment: IssuingAdjustment, grace: int, issuing: tuple[int, int, int]
) -> None:
    given = settings(anchor, adjustment, grace)
    dates = subscription_dates(date(2024, 7, 1), given, periodic=True)
    assert dates.issuing_date == date(*issuing)


def test_an_invoice_that_is_not_periodic_waits_for_its_grace_period_only() -> None:
    dates = subscription_dates(date(2026, 5, 20), settings(END, KEEP, grace=3), periodic=False)
    assert dates.issuing_date == dates.expected_finalization_date == date(2026, 5, 23)
    assert dates.payment_due_date == date(2026, 6, 7)


def test_other_invoice_types_carry_the_billing_date() -> None:
    dates = immediate_dates(date(2026, 5, 20), 30)
    assert dates.issuing_date == dates.expected_finalization_date == date(2026, 5, 20)
    assert (dates.payment_due_date, dates.net_payment_term) == (date(2026, 6, 19), 30)


@pytest.mark.parametrize(
    ("adjustment", "periodic", "issuing"),
    [
        (ALIGN, True, (2026, 5, 7)),
        (KEEP, True, (2026, 4, 30)),
        (KEEP, False, (2026, 5, 7)),
        (ALIGN, False, (2026, 5, 7)),
    ],
)
def test_finalization_redates_to_today_unless_a_periodic_invoice_keeps_its_anchor(
    adjustment: IssuingAdjustment, periodic: bool, issuing: tuple[int, int, int]
) -> None:
    # given a draft made with one term, finalized after the term was changed to 10 days
    drafted = InvoiceDates(
        issuing_date=date(2026, 4, 30),
        expected_finalization_date=date(2026, 5, 4),
        payment_due_date=date(2026, 5, 15),
        net_payment_term=15,
    )
    now = settings(END, adjustment, grace=3, term=10)
    dates = finalized_dates(drafted, date(2026, 5, 7), now, periodic=periodic)
    assert dates.issuing_date == date(*issuing)
    assert (dates.payment_due_date - dates.issuing_date).days == dates.net_payment_term == 10
    assert dates.expected_finalization_date == date(2026, 5, 4)


@pytest.mark.parametrize("periodic", [True, False])
def test_a_redated_draft_has_the_dates_it_would_have_had(periodic: bool) -> None:
    every = [settings(a, j, g) for a in (NEXT, END) for j in (ALIGN, KEEP) for g in (0, 3, 10)]
    day = date(2026, 5, 1)
    for old in every:
        drafted = subscription_dates(day, old, periodic=periodic)
        for new in every:
            expected = subscription_dates(day, new, periodic=periodic)
            assert redated_draft(drafted, old, new, periodic=periodic) == expected
