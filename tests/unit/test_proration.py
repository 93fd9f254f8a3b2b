"""Day counts, prorated amounts and the base fee: the worked examples of the contract."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import msgspec
import pytest

from lago_engine.domain.periods import Interval, PeriodSubject, link_windows, termination_windows
from lago_engine.domain.proration import (
    BaseFeeDueInput,
    BaseFeeInput,
    Prorated,
    base_fee,
    base_fee_due,
    days_between,
    is_backdated,
    period_length,
    prorate,
    trial_end,
)
from lago_engine.domain.timezones import zone

NEW_YORK, TOKYO = "America/New_York", "Asia/Tokyo"
ADVANCE = {"pay_in_advance": True}
ANNIVERSARY = {"billing_time": "anniversary"}


def instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def subscription(started_at: str, interval: Interval = "monthly", **given: Any) -> PeriodSubject:
    start = instant(started_at)
    facts: dict[str, Any] = {"subscription_at": start, "created_at": start, "status": "active"}
    facts |= {key: instant(v) if key.endswith("_at") else v for key, v in given.items()}
    if "terminated_at" in facts:
        facts["status"] = "terminated"
    return PeriodSubject(started_at=start, interval=interval, **facts)


def fee_at(sub: PeriodSubject, at: str, amount_cents: int, **given: Any) -> Prorated:
    """The base fee of the link billed at `at`; an upgraded subscription closes in current usage."""
    mode = "current_usage" if sub.successor == "upgrade" else "billing"
    windows = link_windows(sub, instant(at), mode=mode)  # type: ignore[arg-type]
    window = windows.subscription_from, windows.subscription_to
    return base_fee(
        BaseFeeInput(subject=sub, at=instant(at), window=window, amount_cents=amount_cents, **given)
    )


# --- days ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "timezone", "days"),
    [
        ("2024-03-05T05:00:00Z", "2024-04-01T03:59:59.999Z", NEW_YORK, 27),  # 26 d 23 h elapsed
        ("2024-11-02T04:00:00Z", "2024-11-04T04:59:59.999999Z", NEW_YORK, 2),  # 49 h elapsed
        ("2024-06-01T00:00Z", "2024-06-18T09:00Z", "UTC", 18),
        ("2024-06-01T04:00Z", "2024-06-18T02:00Z", NEW_YORK, 17),
        ("2024-06-01T04:00Z", "2024-06-18T04:00Z", NEW_YORK, 18),  # ends at midnight of the 18th
        ("2025-06-01T00:00Z", "2025-06-30T23:59:59.999Z", "UTC", 30),
        ("2025-06-16T09:30Z", "2025-06-30T23:59:59.999Z", "UTC", 15),
        ("2025-06-01T00:00Z", "2025-06-12T15:00Z", "UTC", 12),
        ("2025-06-10T15:00Z", "2025-06-20T12:00Z", "UTC", 10),  # elapsed, not calendar, days
        ("2024-06-15T12:00Z", "2024-06-15T12:00Z", "UTC", 0),
        ("2024-06-15T00:00Z", "2024-06-15T00:00Z", "UTC", 1),
    ],
)
def test_days_between(start: str, end: str, timezone: str, days: int) -> None:
    assert days_between(instant(start), instant(end), zone(timezone)) == days


@pytest.mark.parametrize(
    ("interval", "given", "at", "days"),
    [
        ("weekly", {}, "2024-06-04", 7),
        ("monthly", {}, "2024-06-04", 30),
        ("quarterly", {}, "2024-06-04", 91),
        ("semiannual", {}, "2024-06-04", 182),
        ("yearly", {}, "2024-06-04", 366),
        ("yearly", {}, "2025-06-04", 365),
        ("quarterly", ANNIVERSARY, "2024-06-10", 92),
    ],
)
def test_the_divisor_is_the_whole_period(
    interval: Interval, given: dict[str, str], at: str, days: int
) -> None:
    # given a start in the middle of a calendar period
    assert period_length(subscription("2024-02-15T14:30Z", interval, **given), instant(at)) == days


# --- amounts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "days", "length", "cents", "precise"),
    [
        (1400, 4, 7, 800, "800"),
        (9900, 12, 31, 3832, "3832.258064516129032"),
        (27000, 42, 91, 12462, "12461.538461538461538"),
        (60000, 42, 182, 13846, "13846.153846153846154"),
        (120000, 226, 366, 74098, "74098.360655737704918"),
        (9900, 11, 31, 3513, "3512.903225806451613"),
        (4501, 15, 30, 2251, "2250.5"),  # an exact half that a day price cut to digits misses
        (120000, 197, 366, 64590, "64590.163934426229508"),
        (120000, 270, 365, 88767, "88767.123287671232877"),
        (27000, 65, 92, 19076, "19076.086956521739130"),
        (9900, 0, 30, 0, "0"),
        (0, 12, 30, 0, "0"),
        (50000, 12, 31, 19355, "19354.838709677419355"),
        (10**30 + 1, 1, 2, (10**30 + 2) // 2, "500000000000000000000000000000.5"),
    ],
)
def test_prorated_amounts(amount: int, days: int, length: int, cents: int, precise: str) -> None:
    with localcontext() as context:
        context.prec = 5  # The caller's context has no say.
        prorated = prorate(amount, days, length)
    assert prorated == Prorated(
        days=days, period_days=length, amount_cents=cents, precise_amount_cents=Decimal(precise)
    )


# --- the base fee ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("started_at", "interval", "given", "at", "amount", "days", "cents"),
    [
        ("2024-05-20T14:30Z", "monthly", {}, "2024-06-01T00:10Z", 9900, 12, 3832),
        ("2024-05-20T16:30Z", "monthly", {"timezone": TOKYO}, "2024-05-31T15:10Z", 9900, 11, 3513),
        ("2024-05-20T14:30Z", "monthly", ADVANCE, "2024-05-20T14:30Z", 9900, 12, 3832),
        ("2024-05-16T00:00Z", "weekly", {}, "2024-05-20T00:10Z", 1400, 4, 800),
        ("2024-05-20T14:30Z", "quarterly", {}, "2024-07-01T00:10Z", 27000, 42, 12462),
        ("2024-05-20T14:30Z", "semiannual", {}, "2024-07-01T00:10Z", 60000, 42, 13846),
        ("2024-05-20T14:30Z", "yearly", {}, "2025-01-01T00:10Z", 120000, 226, 74098),
        ("2023-03-11T00:00Z", "yearly", {}, "2024-01-01T00:10Z", 120000, 296, 97315),
        # An advance anniversary plan pays its first period in full, whatever the hour.
        ("2024-05-20T14:30Z", "monthly", ADVANCE | ANNIVERSARY, "2024-05-20T14:30Z", 9900, 31, 9900),
    ],
)  # fmt: skip
def test_first_base_fee(
    started_at: str, interval: Interval, given: dict[str, Any], at: str, amount: int, days: int, cents: int
) -> None:  # fmt: skip
    fee = fee_at(subscription(started_at, interval, **given), at, amount)
    assert (fee.days, fee.amount_cents) == (days, cents)


@pytest.mark.parametrize("pay_in_advance", [True, False])
def test_a_later_base_fee_is_the_price_itself(pay_in_advance: bool) -> None:
    sub = subscription("2024-05-20T14:30Z", pay_in_advance=pay_in_advance)
    fee = fee_at(sub, "2024-07-01T00:10Z", 9900)
    assert fee == prorate(9900, fee.period_days, fee.period_days)
    assert fee.amount_cents == 9900


@pytest.mark.parametrize(
    ("timezone", "terminated_at", "days", "cents"),
    [("UTC", "2024-06-18T09:00Z", 18, 5940), (NEW_YORK, "2024-06-18T02:00Z", 17, 5610)],
)
def test_closing_arrears_plan(timezone: str, terminated_at: str, days: int, cents: int) -> None:
    sub = subscription("2024-03-05", terminated_at=terminated_at, timezone=timezone)
    fee = fee_at(sub, terminated_at, 9900)
    assert (fee.days, fee.amount_cents) == (days, cents)


def test_closing_on_a_billing_day_bills_the_missed_month_or_the_first_day() -> None:
    sub = subscription("2024-03-05", terminated_at="2024-07-01T15:00Z")
    alive = msgspec.structs.replace(sub, status="active")
    billed = link_windows(alive, instant("2024-07-01"))
    for recurring, cents in (([], 9900), ([billed], 319)):  # 9900 / 31 = 319.35
        windows = termination_windows(sub, instant("2024-07-01T15:00Z"), recurring=recurring)
        given = BaseFeeInput(
            subject=sub, at=instant("2024-07-01T15:00Z"), amount_cents=9900,
            window=(windows.subscription_from, windows.subscription_to),
        )  # fmt: skip
        assert base_fee(given).amount_cents == cents


def test_closing_at_midnight_pays_the_day_that_begins() -> None:
    sub = subscription("2024-03-05", terminated_at="2024-07-01")
    assert fee_at(sub, "2024-07-01", 9900).days == 1
    # A trial that ends with the window leaves nothing to pay.
    assert fee_at(sub, "2024-07-01", 9900, trial_end=instant("2024-07-01")).days == 0


@pytest.mark.parametrize(
    ("timezone", "at", "old_days", "old_cents", "new_days", "new_cents"),
    [
        ("UTC", "2024-06-18T09:00Z", 17, 1700, 13, 5200),
        (NEW_YORK, "2024-06-18T02:00Z", 16, 1600, 14, 5600),
        (TOKYO, "2024-06-17T20:00Z", 17, 1700, 13, 5200),
    ],
)
def test_upgrade_from_arrears_to_advance(
    timezone: str, at: str, old_days: int, old_cents: int, new_days: int, new_cents: int
) -> None:
    old = subscription("2024-03-05", terminated_at=at, successor="upgrade", timezone=timezone)
    closing = fee_at(old, at, 3000)
    assert (closing.days, closing.amount_cents) == (old_days, old_cents)
    new = subscription(at, subscription_at="2024-03-05", timezone=timezone, **ADVANCE)
    first = fee_at(new, at, 12000, predecessor="upgrade")
    assert (first.days, first.amount_cents) == (new_days, new_cents)


def test_upgrade_to_arrears_bills_the_rest_of_the_month_at_its_end() -> None:
    new = subscription("2024-06-18T09:00Z", subscription_at="2024-03-05")
    fee = fee_at(new, "2024-07-01T00:10Z", 12000, predecessor="upgrade")
    assert (fee.days, fee.amount_cents) == (13, 5200)


def test_upgrade_to_yearly_plans() -> None:
    calendar = subscription("2024-06-18T09:00Z", "yearly", subscription_at="2024-03-15", **ADVANCE)
    fee = fee_at(calendar, "2024-06-18T09:00Z", 120000, predecessor="upgrade")
    assert (fee.days, fee.amount_cents) == (197, 64590)
    anniversary = msgspec.structs.replace(calendar, billing_time="anniversary")
    fee = fee_at(anniversary, "2024-06-18T09:00Z", 120000, predecessor="upgrade")
    assert (fee.days, fee.period_days, fee.amount_cents) == (270, 365, 88767)


def test_upgraded_on_its_first_day_owes_nothing() -> None:
    old = subscription("2024-06-18T08:00Z", terminated_at="2024-06-18T09:00Z", successor="upgrade")
    assert fee_at(old, "2024-06-18T09:00Z", 3000).amount_cents == 0


def test_the_first_fee_after_a_downgrade_is_the_whole_month() -> None:
    new = subscription("2024-07-01T00:10:03Z", subscription_at="2024-03-05", **ADVANCE)
    fee = fee_at(new, "2024-07-01T00:10:03Z", 3000, predecessor="downgrade")
    assert (fee.days, fee.amount_cents) == (31, 3000)


def test_a_draft_of_an_earlier_period_does_not_close_because_the_end_came_since() -> None:
    sub = subscription("2024-03-05", terminated_at="2024-07-10T09:00Z", successor="upgrade")
    windows = link_windows(sub, instant("2024-07-01"))
    fee = base_fee(
        BaseFeeInput(
            subject=sub, at=instant("2024-07-01"), amount_cents=3000,
            window=(windows.subscription_from, windows.subscription_to),
        )
    )  # fmt: skip
    assert fee.amount_cents == 3000


# --- backdated -------------------------------------------------------------------------------------


def test_backdated_advance_pays_the_running_period_in_full() -> None:
    sub = subscription("2024-03-11", created_at="2024-05-20", **ADVANCE)
    assert is_backdated(sub)
    assert fee_at(sub, "2024-06-01T00:10Z", 9900).amount_cents == 9900


@pytest.mark.parametrize(
    ("started_at", "cents"),
    [
        ("2024-03-11", 9900),  # before the period that is billed: the whole of May
        ("2024-05-11", 6706),  # inside of it: 21 days of 31
    ],
)
def test_backdated_arrears(started_at: str, cents: int) -> None:
    sub = subscription(started_at, created_at="2024-05-20")
    assert fee_at(sub, "2024-06-01T00:10Z", 9900).amount_cents == cents


def test_backdating_compares_local_dates() -> None:
    # 02:00Z and 05:00Z are the 19th and the 20th in New York, the same day in UTC.
    assert is_backdated(
        subscription("2024-05-20T02:00Z", created_at="2024-05-20T05:00Z", timezone=NEW_YORK)
    )
    assert not is_backdated(subscription("2024-05-20T02:00Z", created_at="2024-05-20T05:00Z"))


# --- trials ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [None, Decimal(0), Decimal(-3)])
def test_no_trial(period: Decimal | None) -> None:
    assert trial_end(instant("2024-06-05"), period) is None


def test_a_trial_is_days_of_24_hours() -> None:
    # DST starts on 10 March in New York; 12:00 becomes 13:00 local.
    start = instant("2024-03-05T17:00Z")
    assert trial_end(start, Decimal(10)) == start + timedelta(hours=240)
    assert trial_end(start, Decimal("0.5")) == start + timedelta(hours=12)


@pytest.mark.parametrize(
    ("started_at", "given", "at", "cents"),
    [
        ("2024-06-05T12:00Z", ADVANCE, "2024-06-15T12:35Z", 5280),
        ("2024-06-05T16:00Z", ADVANCE | {"timezone": NEW_YORK}, "2024-06-15T16:35Z", 5280),
        ("2024-06-05T12:00Z", ADVANCE | ANNIVERSARY, "2024-06-15T12:35Z", 6600),
        ("2024-06-05T12:00Z", {}, "2024-07-01T00:10Z", 5280),
        # The trial outlives the window, or ended before it.
        ("2024-06-25T12:00Z", {}, "2024-07-01T00:10Z", 0),
        ("2024-05-05T12:00Z", {}, "2024-07-01T00:10Z", 9900),
        ("2024-05-05T12:00Z", ADVANCE, "2024-07-01T00:10Z", 9900),
    ],
)
def test_trial_of_ten_days(started_at: str, given: dict[str, Any], at: str, cents: int) -> None:
    sub = subscription(started_at, **given)
    end = trial_end(sub.start, Decimal(10))
    assert fee_at(sub, at, 9900, trial_end=end).amount_cents == cents


def test_closing_within_and_after_the_trial() -> None:
    end = instant("2024-06-15T12:00Z")
    inside = subscription("2024-06-05T12:00Z", terminated_at="2024-06-14T09:00Z")
    assert fee_at(inside, "2024-06-14T09:00Z", 9900, trial_end=end).amount_cents == 0
    # 15 June 12:00 to 18 June 09:00 begins three days; an upgrade leaves the last one to the new plan.
    after = subscription("2024-06-05T12:00Z", terminated_at="2024-06-18T09:00Z")
    assert fee_at(after, "2024-06-18T09:00Z", 9900, trial_end=end).days == 3
    upgraded = msgspec.structs.replace(after, successor="upgrade")
    assert fee_at(upgraded, "2024-06-18T09:00Z", 9900, trial_end=end).days == 2


# --- whether there is a base fee -------------------------------------------------------------------


def due(sub: PeriodSubject, at: str, **given: Any) -> bool:
    facts: dict[str, Any] = {"subject": sub, "at": instant(at), "invoice_created_at": instant(at)}
    return base_fee_due(BaseFeeDueInput(**(facts | given)))


def test_an_ordinary_link_has_one() -> None:
    assert due(subscription("2024-03-05"), "2024-06-01T00:10Z")


@pytest.mark.parametrize("fact", ["on_this_invoice", "starts_with_fixed_charges_only"])
def test_facts_that_exclude_it(fact: str) -> None:
    assert not due(subscription("2024-03-05"), "2024-06-01T00:10Z", **{fact: True})


@pytest.mark.parametrize(
    ("pay_in_advance", "other", "expected"),
    [
        (True, "2024-06-01T03:59Z", True),  # 31 May in New York
        (True, "2024-06-01T04:05Z", False),
        (True, "2024-06-02T03:59Z", False),
        (False, "2024-06-01T04:05Z", True),
    ],
)
def test_an_advance_plan_is_billed_once_a_day(
    pay_in_advance: bool, other: str, expected: bool
) -> None:
    sub = subscription("2024-03-05", timezone=NEW_YORK, pay_in_advance=pay_in_advance)
    given = {"other_base_fee_created_at": instant(other)}
    assert due(sub, "2024-06-01T04:10Z", **given) == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2024-06-14T23:59Z", False),
        ("2024-06-15T00:10Z", True),  # the last local day of the trial is the billing date
        ("2024-06-15T12:35Z", True),
        ("2024-07-01T00:10Z", True),
    ],
)
def test_no_base_fee_in_trial(at: str, expected: bool) -> None:
    sub = subscription("2024-06-05T12:00Z", **ADVANCE)
    assert due(sub, at, trial_end=instant("2024-06-15T12:00Z")) == expected


SPLIT = {"bill_charges_monthly": True}


@pytest.mark.parametrize(
    ("sub", "at", "any_base_fee", "expected"),
    [
        # advance, split: December no, January yes, February no
        (subscription("2024-03-11", "yearly", **SPLIT, **ADVANCE), "2024-12-01T00:10Z", True, False),
        (subscription("2024-03-11", "yearly", **SPLIT, **ADVANCE), "2025-01-01T00:10Z", True, True),
        (subscription("2024-03-11", "yearly", **SPLIT, **ADVANCE), "2025-02-01T00:10Z", True, False),
        # the first one ever is made when the subscription starts
        (subscription("2024-03-11", "yearly", **ADVANCE), "2024-03-11T00:00Z", False, True),
        # arrears, split: January yes, February no, termination yes
        (subscription("2023-03-11", "yearly", **SPLIT), "2024-01-01T00:10Z", False, True),
        (subscription("2023-03-11", "yearly", **SPLIT), "2024-02-01T00:10Z", True, False),
        (subscription("2023-03-11", "yearly", terminated_at="2024-09-12T16:00Z"), "2024-09-12T16:00Z", True, True),
        # a draft of August is not a termination because the end came in September
        (subscription("2023-03-11", "yearly", terminated_at="2024-09-12T16:00Z", **SPLIT),
         "2024-08-01T00:10Z", True, False),
        # semiannual anniversary in New York: September yes, July no
        (subscription("2024-03-15T12:00Z", "semiannual", timezone=NEW_YORK, **SPLIT, **ADVANCE, **ANNIVERSARY),
         "2024-09-15T04:10Z", True, True),
        (subscription("2024-03-15T12:00Z", "semiannual", timezone=NEW_YORK, **SPLIT, **ADVANCE, **ANNIVERSARY),
         "2024-07-15T04:10Z", True, False),
        # backdated, advance: not even without a base fee, until the next first month
        (subscription("2024-03-11", "yearly", created_at="2024-05-20", **SPLIT, **ADVANCE),
         "2024-06-01T00:10Z", False, False),
        (subscription("2024-03-11", "yearly", created_at="2024-05-20", **ADVANCE), "2025-01-01T00:10Z", False, True),
        # a semiannual calendar plan started in the first half is excepted on 1 July as well
        (subscription("2024-03-11", "semiannual", created_at="2024-05-20", **ADVANCE),
         "2024-07-01T00:10Z", False, False),
        (subscription("2024-03-11", "semiannual", created_at="2024-05-20", **ADVANCE),
         "2025-01-01T00:10Z", False, True),
        (subscription("2024-03-15", "semiannual", created_at="2024-05-20", **ADVANCE, **ANNIVERSARY),
         "2024-09-15T00:10Z", False, True),
        (subscription("2024-03-15", "semiannual", created_at="2024-03-20", **ADVANCE, **ANNIVERSARY),
         "2024-03-20T00:10Z", False, False),
    ],
)  # fmt: skip
def test_first_month_rule(sub: PeriodSubject, at: str, any_base_fee: bool, expected: bool) -> None:
    assert due(sub, at, any_base_fee=any_base_fee) == expected


@pytest.mark.parametrize(
    ("pay_in_advance", "invoice_created_at", "expected"),
    [
        (False, "2024-06-18T09:00Z", True),
        (True, "2024-06-18T09:00Z", False),
        (True, "2024-06-01T00:10Z", True),  # an invoice made before the end keeps its fee
    ],
)
def test_status_terminated(pay_in_advance: bool, invoice_created_at: str, expected: bool) -> None:
    sub = subscription(
        "2024-03-05", terminated_at="2024-06-18T09:00Z", pay_in_advance=pay_in_advance
    )
    given = {"invoice_created_at": instant(invoice_created_at)}
    assert due(sub, "2024-06-18T09:00Z", **given) == expected


@pytest.mark.parametrize(
    ("status", "expected"), [("active", True), ("incomplete", True), ("pending", False), ("canceled", False)]
)  # fmt: skip
def test_other_statuses(status: Any, expected: bool) -> None:
    sub = msgspec.structs.replace(subscription("2024-03-05"), status=status)
    assert due(sub, "2024-06-01T00:10Z") == expected


# --- one life --------------------------------------------------------------------------------------


def test_one_life_end_to_end_in_new_york() -> None:
    old = subscription("2024-05-20T14:30Z", timezone=NEW_YORK, **ADVANCE)
    assert fee_at(old, "2024-05-20T14:30Z", 3000).amount_cents == 1161
    june = fee_at(old, "2024-06-01T04:10Z", 3000)
    assert june.amount_cents == 3000
    new = subscription(
        "2024-06-18T02:00Z", subscription_at="2024-05-20T14:30Z", timezone=NEW_YORK, **ADVANCE
    )
    first = fee_at(new, "2024-06-18T02:00Z", 12000, predecessor="upgrade")
    assert (first.days, first.amount_cents) == (14, 5600)
    july = fee_at(new, "2024-07-01T04:10Z", 12000, predecessor="upgrade")
    assert july.amount_cents == 12000
    # The days credited at the two ends: from the day of an upgrade, from the day after a termination.
    assert prorate(3000, june.period_days - 16, june.period_days).amount_cents == 1400
    assert prorate(12000, july.period_days - 10, july.period_days).amount_cents == 8129
