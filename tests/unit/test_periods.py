"""Grids, windows and billing days: the worked examples of the contract, instant by instant."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from lago_engine.domain.periods import (
    Grid,
    Interval,
    PeriodSubject,
    Windows,
    billing_day_starts,
    first_month,
    is_billing_day,
    link_windows,
    next_billing_at,
    period_containing,
    picked_periods,
    termination_windows,
)
from lago_engine.domain.timezones import (
    MICROSECOND,
    end_of_day,
    from_micros,
    is_timezone,
    local_date,
    micros,
    start_of_day,
    to_exclusive,
    zone,
)
from lago_engine.domain.zone_changes import align_base_fee, follow_zone_change

NEW_YORK, TOKYO = "America/New_York", "Asia/Tokyo"


def instant(text: str) -> datetime:
    """`2024-05-20T14:30Z`, `2024-05-20` for midnight."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def wire(moment: datetime | None) -> str | None:
    """Second precision, as the API prints it."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def day(text: str) -> date:
    return date.fromisoformat(text)


def subscription(started_at: str, interval: Interval = "monthly", **given: Any) -> PeriodSubject:
    """An active subscription that starts when it is created, unless said otherwise."""
    start = instant(started_at)
    facts: dict[str, Any] = {"subscription_at": start, "created_at": start, "status": "active"}
    facts |= {key: instant(v) if key.endswith("_at") else v for key, v in given.items()}
    if "terminated_at" in facts:
        facts["status"] = "terminated"
    return PeriodSubject(started_at=start, interval=interval, **facts)


def span(windows: Windows, family: str) -> tuple[str | None, str | None]:
    return wire(getattr(windows, f"{family}_from")), wire(getattr(windows, f"{family}_to"))


def whole(first: str, last: str) -> tuple[str, str]:
    """Whole UTC days."""
    return f"{first}T00:00:00Z", f"{last}T23:59:59Z"


# --- the grid ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "anchor", "starts", "lengths"),
    [
        ("monthly", "2024-01-31",
         ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31", "2024-06-30", "2024-07-31"],
         [29, 31, 30, 31, 30, 31]),
        ("quarterly", "2023-11-30",
         ["2023-11-30", "2024-02-29", "2024-05-30", "2024-08-30", "2024-11-30", "2025-02-28", "2025-05-30"],
         [91, 91, 92, 92, 90, 91]),
        ("semiannual", "2023-08-31",
         ["2023-08-31", "2024-02-29", "2024-08-31", "2025-02-28", "2025-08-31"],
         [182, 184, 181, 184]),
        ("yearly", "2024-02-29",
         ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"],
         [365, 365, 365, 366]),
        ("weekly", "2024-05-16", ["2024-05-30", "2024-06-06"], [7]),
    ],
)  # fmt: skip
def test_anniversary_grids(
    interval: Interval, anchor: str, starts: list[str], lengths: list[int]
) -> None:
    grid = Grid(interval, "anniversary", day(anchor))
    for first, following, length in zip(starts[:-1], starts[1:], lengths, strict=True):
        period = grid.period(day(first))
        assert (period.first, period.last) == (day(first), day(following) - timedelta(days=1))
        assert period.days == length == grid.length(period.last)
        assert grid.start(period.last) == day(first)
        assert grid.next(day(first)) == day(following)
        assert grid.period_before(day(following)) == period


def test_the_week_that_contains_4_june() -> None:
    period = Grid("weekly", "anniversary", day("2024-05-16")).period(day("2024-06-04"))
    assert (period.first, period.last) == (day("2024-05-30"), day("2024-06-05"))


@pytest.mark.parametrize(
    ("interval", "first", "last"),
    [
        ("weekly", "2024-08-12", "2024-08-18"),
        ("monthly", "2024-08-01", "2024-08-31"),
        ("quarterly", "2024-07-01", "2024-09-30"),
        ("semiannual", "2024-07-01", "2024-12-31"),
        ("yearly", "2024-01-01", "2024-12-31"),
    ],
)
def test_calendar_grids_ignore_the_anchor(interval: Interval, first: str, last: str) -> None:
    period = Grid(interval, "calendar", day("2023-02-15")).period(day("2024-08-15"))
    assert (period.first, period.last) == (day(first), day(last))


@pytest.mark.parametrize(("timezone", "anchor"), [("UTC", 30), (NEW_YORK, 30), (TOKYO, 31)])
def test_the_anchor_is_local(timezone: str, anchor: int) -> None:
    sub = subscription("2024-01-30T20:00Z", billing_time="anniversary", timezone=timezone)
    assert sub.main_grid.origin.day == anchor


# --- local days ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timezone", "first", "last", "start", "end"),
    [
        (NEW_YORK, "2024-03-01", "2024-03-31", "2024-03-01T05:00:00Z", "2024-04-01T03:59:59Z"),
        (NEW_YORK, "2024-11-01", "2024-11-30", "2024-11-01T04:00:00Z", "2024-12-01T04:59:59Z"),
        (TOKYO, "2024-04-01", "2024-06-30", "2024-03-31T15:00:00Z", "2024-06-30T14:59:59Z"),
        # Midnight does not exist: the first instant is 01:00 local.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04", "2018-11-04T03:00:00Z", "2018-11-05T01:59:59Z"),
        # The gap began at 23:30 of the day before: the first instant is 00:30 local.
        ("America/Toronto", "1919-03-31", "1919-03-31", "1919-03-31T04:30:00Z", "1919-04-01T03:59:59Z"),
        # Clocks went back from 00:01 to 23:01: the first of the two midnights counts.
        ("America/St_Johns", "2010-11-07", "2010-11-07", "2010-11-07T02:30:00Z", "2010-11-08T03:29:59Z"),
        # Half an hour of DST.
        ("Australia/Lord_Howe", "2024-04-07", "2024-04-07", "2024-04-06T13:00:00Z", "2024-04-07T13:29:59Z"),
    ],
)  # fmt: skip
def test_local_days_in_utc(timezone: str, first: str, last: str, start: str, end: str) -> None:
    tz = zone(timezone)
    assert wire(start_of_day(day(first), tz)) == start
    assert wire(end_of_day(day(last), tz)) == end
    assert end_of_day(day(last), tz).microsecond == 999_999


def test_a_day_the_zone_skipped_is_empty() -> None:
    apia = zone("Pacific/Apia")
    assert start_of_day(day("2011-12-30"), apia) == start_of_day(day("2011-12-31"), apia)
    assert to_exclusive(end_of_day(day("2011-12-30"), apia)) == start_of_day(
        day("2011-12-30"), apia
    )
    assert local_date(start_of_day(day("2011-12-30"), apia), apia) == day("2011-12-31")


def test_timezone_names() -> None:
    assert all(
        map(is_timezone, ["UTC", NEW_YORK, "America/Argentina/Buenos_Aires", "Asia/Kathmandu"])
    )
    assert not any(
        map(is_timezone, ["", "Mars/Phobos", "america/new_york", "../etc/passwd", "/UTC"])
    )
    assert zone(TOKYO) is zone(TOKYO)


def test_instants_as_microseconds() -> None:
    moment = instant("2024-05-20T14:30Z") + 7 * MICROSECOND
    assert micros(moment) == 1_716_215_400_000_007
    assert from_micros(micros(moment)) == moment
    assert micros(instant("1969-12-31T23:59:59Z")) == -1_000_000
    assert micros(to_exclusive(moment)) == micros(moment) + 1


# --- windows of ordinary billings ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("started_at", "timezone", "billed_at", "fee", "usage_from"),
    [
        ("2024-05-20T14:30Z", "UTC", "2024-06-01T00:10Z",
         ("2024-05-20T00:00:00Z", "2024-05-31T23:59:59Z"), "2024-05-20T14:30:00Z"),
        ("2024-05-20T14:30Z", NEW_YORK, "2024-06-01T04:10Z",
         ("2024-05-20T04:00:00Z", "2024-06-01T03:59:59Z"), "2024-05-20T14:30:00Z"),
        ("2024-05-20T16:30Z", TOKYO, "2024-05-31T15:10Z",
         ("2024-05-20T15:00:00Z", "2024-05-31T14:59:59Z"), "2024-05-20T16:30:00Z"),
    ],
)  # fmt: skip
def test_first_period_in_arrears(
    started_at: str, timezone: str, billed_at: str, fee: tuple[str, str], usage_from: str
) -> None:
    windows = link_windows(subscription(started_at, timezone=timezone), instant(billed_at))
    assert span(windows, "subscription") == fee
    assert span(windows, "charges") == span(windows, "fixed_charges") == (usage_from, fee[1])


ADVANCE = {"pay_in_advance": True}
ANNIVERSARY = {"billing_time": "anniversary"}


@pytest.mark.parametrize(
    ("sub", "billed_at", "fee", "usage"),
    [
        (subscription("2024-03-05", timezone=NEW_YORK, **ADVANCE), "2024-11-01T04:10Z",
         ("2024-11-01T04:00:00Z", "2024-12-01T04:59:59Z"), ("2024-10-01T04:00:00Z", "2024-11-01T03:59:59Z")),
        (subscription("2024-01-31T09:00Z", **ADVANCE, **ANNIVERSARY), "2024-02-29T00:10Z",
         whole("2024-02-29", "2024-03-30"), ("2024-01-31T09:00:00Z", "2024-02-28T23:59:59Z")),
        (subscription("2024-01-31T09:00Z", **ADVANCE, **ANNIVERSARY), "2024-03-31T00:10Z",
         whole("2024-03-31", "2024-04-29"), whole("2024-02-29", "2024-03-30")),
        (subscription("2024-01-30T20:00Z", timezone=TOKYO, **ANNIVERSARY), "2024-04-29T15:10Z",
         ("2024-03-30T15:00:00Z", "2024-04-29T14:59:59Z"), ("2024-03-30T15:00:00Z", "2024-04-29T14:59:59Z")),
        (subscription("2024-03-05", "weekly", timezone=NEW_YORK, **ADVANCE), "2024-06-03T04:10Z",
         ("2024-06-03T04:00:00Z", "2024-06-10T03:59:59Z"), ("2024-05-27T04:00:00Z", "2024-06-03T03:59:59Z")),
        (subscription("2024-05-16", "weekly", **ANNIVERSARY), "2024-06-06T00:10Z",
         whole("2024-05-30", "2024-06-05"), whole("2024-05-30", "2024-06-05")),
        (subscription("2024-01-05", "quarterly", timezone=TOKYO), "2024-06-30T15:10Z",
         ("2024-03-31T15:00:00Z", "2024-06-30T14:59:59Z"), ("2024-03-31T15:00:00Z", "2024-06-30T14:59:59Z")),
        (subscription("2024-05-20T14:30Z", "semiannual"), "2024-07-01T00:10Z",
         whole("2024-05-20", "2024-06-30"), ("2024-05-20T14:30:00Z", "2024-06-30T23:59:59Z")),
        (subscription("2024-02-29T10:00Z", "yearly", **ANNIVERSARY), "2025-02-28T00:10Z",
         whole("2024-02-29", "2025-02-27"), ("2024-02-29T10:00:00Z", "2025-02-27T23:59:59Z")),
    ],
)  # fmt: skip
def test_later_periods(
    sub: PeriodSubject, billed_at: str, fee: tuple[str, str], usage: tuple[str, str]
) -> None:
    windows = link_windows(sub, instant(billed_at))
    assert span(windows, "subscription") == fee
    assert span(windows, "charges") == span(windows, "fixed_charges") == usage


@pytest.mark.parametrize("pay_in_advance", [True, False])
def test_current_usage_takes_the_running_period_for_everything(pay_in_advance: bool) -> None:
    sub = subscription("2024-03-05", pay_in_advance=pay_in_advance)
    windows = link_windows(sub, instant("2024-06-18T12:00Z"), mode="current_usage")
    for family in ("subscription", "charges", "fixed_charges"):
        assert span(windows, family) == whole("2024-06-01", "2024-06-30")


def test_a_starting_advance_link_has_a_fee_window_and_no_usage() -> None:
    sub = subscription("2024-05-20T14:30Z", **ADVANCE)
    windows = link_windows(sub, instant("2024-05-20T14:30Z"))
    assert span(windows, "subscription") == whole("2024-05-20", "2024-05-31")
    assert windows.charges_from == windows.charges_to == sub.started_at


def test_a_period_is_never_cut_to_the_start() -> None:
    sub = subscription("2024-05-20T14:30Z")
    period = period_containing(sub, instant("2024-05-25"))
    assert tuple(map(wire, period.bounds(sub.tz))) == whole("2024-05-01", "2024-05-31")
    picked = picked_periods(sub, instant("2024-06-01T00:10Z"))
    assert picked.subscription == picked.charges == picked.fixed_charges == period
    assert period.days == 31


def test_month_end_corner_the_previous_period_is_the_one_before_the_running_one() -> None:
    sub = subscription("2023-01-30", **ANNIVERSARY)
    windows = link_windows(sub, instant("2023-03-29T12:00Z"))
    assert span(windows, "subscription") == whole("2023-01-30", "2023-02-27")


# --- monthly charges on longer plans ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("billed_at", "fee", "usage", "fixed"),
    [
        ("2024-12-01T00:10Z", whole("2024-03-11", "2024-12-31"), whole("2024-11-01", "2024-11-30"), (None, None)),
        ("2025-01-01T00:10Z", whole("2025-01-01", "2025-12-31"), whole("2024-12-01", "2024-12-31"),
         whole("2024-03-11", "2024-12-31")),
        ("2025-02-01T00:10Z", whole("2025-01-01", "2025-12-31"), whole("2025-01-01", "2025-01-31"), (None, None)),
    ],
)  # fmt: skip
def test_yearly_advance_with_split_charges(
    billed_at: str, fee: tuple[str, str], usage: tuple[str, str], fixed: tuple[str, str]
) -> None:
    sub = subscription("2024-03-11", "yearly", bill_charges_monthly=True, **ADVANCE)
    windows = link_windows(sub, instant(billed_at))
    assert span(windows, "subscription") == fee
    assert span(windows, "charges") == usage
    assert span(windows, "fixed_charges") == fixed


@pytest.mark.parametrize(
    ("billed_at", "usage"),
    [
        ("2024-01-01T00:10Z", whole("2023-12-01", "2023-12-31")),
        ("2024-02-01T00:10Z", whole("2024-01-01", "2024-01-31")),
    ],
)
def test_yearly_arrears_with_split_charges(billed_at: str, usage: tuple[str, str]) -> None:
    sub = subscription("2023-03-11", "yearly", bill_charges_monthly=True)
    windows = link_windows(sub, instant(billed_at))
    assert span(windows, "subscription") == whole("2023-03-11", "2023-12-31")
    assert span(windows, "charges") == usage


def test_semiannual_anniversary_with_split_charges_in_new_york() -> None:
    sub = subscription(
        "2024-03-15T12:00Z", "semiannual", timezone=NEW_YORK, bill_charges_monthly=True,
        **ADVANCE, **ANNIVERSARY,
    )  # fmt: skip
    windows = link_windows(sub, instant("2024-09-15T04:10Z"))
    assert span(windows, "subscription") == ("2024-09-15T04:00:00Z", "2025-03-15T03:59:59Z")
    assert span(windows, "charges") == ("2024-08-15T04:00:00Z", "2024-09-15T03:59:59Z")
    assert span(windows, "fixed_charges") == ("2024-03-15T12:00:00Z", "2024-09-15T03:59:59Z")
    both = msgspec.structs.replace(sub, bill_fixed_charges_monthly=True)
    windows = link_windows(both, instant("2024-07-15T04:10Z"))
    assert span(windows, "charges") == ("2024-06-15T04:00:00Z", "2024-07-15T03:59:59Z")
    assert span(windows, "fixed_charges") == ("2024-06-15T04:00:00Z", "2024-07-15T03:59:59Z")


def test_split_fixed_charges_leave_usage_on_the_main_grid() -> None:
    sub = subscription("2024-03-11", "yearly", bill_fixed_charges_monthly=True)
    windows = link_windows(sub, instant("2025-02-01T00:10Z"))
    assert span(windows, "charges") == (None, None)
    assert span(windows, "fixed_charges") == whole("2025-01-01", "2025-01-31")
    running = link_windows(sub, instant("2025-02-01T00:10Z"), mode="current_usage")
    assert span(running, "charges") == whole("2025-01-01", "2025-12-31")
    picked = picked_periods(sub, instant("2025-02-01T00:10Z"))
    assert (picked.charges.days, picked.fixed_charges.days) == (366, 31)


def test_shorter_plans_are_not_split() -> None:
    sub = subscription(
        "2024-03-11", "quarterly", bill_charges_monthly=True, bill_fixed_charges_monthly=True
    )
    windows = link_windows(sub, instant("2024-07-01T00:10Z"))
    assert (
        span(windows, "charges")
        == span(windows, "fixed_charges")
        == whole("2024-04-01", "2024-06-30")
    )
    assert first_month(sub, instant("2024-06-15"))


@pytest.mark.parametrize(
    ("interval", "given", "first_months"),
    [
        ("yearly", {}, {1}),
        ("semiannual", {}, {1, 7}),
        # The month that began on 31 May lasts until 29 June, the one of 30 November until 30 December.
        ("yearly", ANNIVERSARY, {6}),
        ("semiannual", ANNIVERSARY, {6, 12}),
        ("monthly", {}, set(range(1, 13))),
    ],
)
def test_first_months_of_the_main_period(
    interval: Interval, given: dict[str, str], first_months: set[int]
) -> None:
    sub = subscription("2024-05-31", interval, **given)
    found = {month for month in range(1, 13) if first_month(sub, instant(f"2025-{month:02}-15"))}
    assert found == first_months


# --- end of life -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pay_in_advance", [True, False])
@pytest.mark.parametrize(
    ("timezone", "terminated_at", "start"),
    [
        ("UTC", "2024-06-18T09:00:00Z", "2024-06-01T00:00:00Z"),
        (NEW_YORK, "2024-06-18T02:00:00Z", "2024-06-01T04:00:00Z"),
    ],
)
def test_terminated_mid_period(
    pay_in_advance: bool, timezone: str, terminated_at: str, start: str
) -> None:
    sub = subscription(
        "2024-03-05", terminated_at=terminated_at, timezone=timezone, pay_in_advance=pay_in_advance
    )
    windows = termination_windows(sub, instant(terminated_at), recurring=[])
    for family in ("subscription", "charges", "fixed_charges"):
        assert span(windows, family) == (start, terminated_at)


@pytest.mark.parametrize("pay_in_advance", [True, False])
def test_replaced_by_upgrade(pay_in_advance: bool) -> None:
    sub = subscription(
        "2024-03-05", terminated_at="2024-06-18T09:00Z", successor="upgrade",
        pay_in_advance=pay_in_advance,
    )  # fmt: skip
    windows = link_windows(sub, instant("2024-06-18T09:00:01Z"), mode="current_usage")
    for family in ("subscription", "charges", "fixed_charges"):
        assert span(windows, family) == ("2024-06-01T00:00:00Z", "2024-06-18T09:00:00Z")


def test_replaced_by_downgrade_the_finished_period_is_billed_in_full() -> None:
    sub = subscription("2024-03-05", terminated_at="2024-07-01T00:10:03Z", successor="downgrade")
    windows = link_windows(sub, instant("2024-07-01T00:10:03Z"))
    for family in ("subscription", "charges", "fixed_charges"):
        assert span(windows, family) == whole("2024-06-01", "2024-06-30")


def test_the_base_fee_window_ends_on_a_whole_second_usage_at_the_exact_instant() -> None:
    end = instant("2024-06-18T09:00:00Z") + timedelta(milliseconds=600)
    sub = msgspec.structs.replace(
        subscription("2024-03-05"), status="terminated", terminated_at=end
    )
    windows = link_windows(sub, end)
    assert windows.subscription_to == instant("2024-06-18T09:00:01Z")
    assert windows.charges_to == end


@pytest.mark.parametrize(
    ("timezone", "just_after", "afternoon", "june", "first_of_july"),
    [
        ("UTC", "2024-07-01T00:05Z", "2024-07-01T15:00:00Z",
         ("2024-06-01T00:00:00Z", "2024-06-30T23:59:59Z"), "2024-07-01T00:00:00Z"),
        (NEW_YORK, "2024-07-01T04:05Z", "2024-07-01T19:00:00Z",
         ("2024-06-01T04:00:00Z", "2024-07-01T03:59:59Z"), "2024-07-01T04:00:00Z"),
    ],
)  # fmt: skip
def test_termination_on_a_billing_day(
    timezone: str, just_after: str, afternoon: str, june: tuple[str, str], first_of_july: str
) -> None:
    # given June not billed yet: the closing invoice covers June
    sub = subscription("2024-03-05", terminated_at=just_after, timezone=timezone)
    windows = termination_windows(sub, instant(just_after), recurring=[])
    assert span(windows, "subscription") == span(windows, "charges") == june
    # given June billed by the clock: the closing invoice covers the first of July
    alive = subscription("2024-03-05", timezone=timezone)
    billed = link_windows(alive, instant(first_of_july))
    sub = subscription("2024-03-05", terminated_at=afternoon, timezone=timezone)
    windows = termination_windows(sub, instant(afternoon), recurring=[billed])
    assert span(windows, "subscription") == span(windows, "charges") == (first_of_july, afternoon)


@pytest.mark.parametrize(
    ("started_at", "terminated_at"),
    [
        ("2024-06-30T12:00Z", "2024-07-01T11:00Z"),  # lived one day only
        ("2024-03-05", "2024-07-02T00:00Z"),  # a whole day after the period ended
    ],
)
def test_termination_that_is_not_adjusted(started_at: str, terminated_at: str) -> None:
    sub = subscription(started_at, terminated_at=terminated_at)
    windows = termination_windows(sub, instant(terminated_at), recurring=[])
    assert windows == link_windows(sub, instant(terminated_at))
    assert windows.charges_from == instant("2024-07-01")


@pytest.mark.parametrize("split", ["bill_charges_monthly", "bill_fixed_charges_monthly"])
@pytest.mark.parametrize("pay_in_advance", [True, False])
def test_a_split_plan_terminated_outside_the_first_month_bills_both_families(
    split: str, pay_in_advance: bool
) -> None:
    sub = subscription(
        "2024-03-11", "yearly", terminated_at="2024-09-12T16:00Z",
        pay_in_advance=pay_in_advance, **{split: True},
    )  # fmt: skip
    windows = termination_windows(sub, instant("2024-09-12T16:00Z"), recurring=[])
    monthly = ("2024-09-01T00:00:00Z", "2024-09-12T16:00:00Z")
    yearly = ("2024-03-11T00:00:00Z", "2024-09-12T16:00:00Z")
    on_charges = split == "bill_charges_monthly"
    assert span(windows, "charges") == (monthly if on_charges else yearly)
    assert span(windows, "fixed_charges") == (yearly if on_charges else monthly)
    assert span(windows, "subscription") == yearly


def test_a_split_plan_terminated_on_a_monthly_billing_day_keeps_its_yearly_base_fee() -> None:
    terminated_at = "2024-09-01T00:05:00Z"
    sub = subscription(
        "2023-03-11", "yearly", terminated_at=terminated_at, bill_charges_monthly=True
    )
    windows = termination_windows(sub, instant(terminated_at), recurring=[])
    assert span(windows, "charges") == whole("2024-08-01", "2024-08-31")
    assert span(windows, "subscription") == ("2024-01-01T00:00:00Z", terminated_at)
    assert span(windows, "fixed_charges") == ("2024-01-01T00:00:00Z", terminated_at)


# --- a customer moves to another zone ---------------------------------------------------------------


def test_usage_goes_on_where_it_ended_after_a_change_of_zone() -> None:
    old = subscription("2024-03-05", timezone=NEW_YORK)
    may = link_windows(old, instant("2024-06-01T04:10Z"))
    new = msgspec.structs.replace(old, timezone=TOKYO)
    june = follow_zone_change(link_windows(new, instant("2024-06-30T15:10Z")), last=may)
    assert span(june, "charges") == ("2024-06-01T04:00:00Z", "2024-06-30T14:59:59Z")
    assert span(june, "fixed_charges") == span(june, "charges")
    assert span(june, "subscription") == ("2024-05-31T15:00:00Z", "2024-06-30T14:59:59Z")
    assert may.charges_to is not None
    assert june.charges_from == to_exclusive(may.charges_to)


def test_a_change_of_zone_leaves_windows_far_from_the_last_one_alone() -> None:
    sub = subscription("2024-03-05", timezone=TOKYO)
    april = link_windows(sub, instant("2024-04-30T15:10Z"))
    june = link_windows(sub, instant("2024-06-30T15:10Z"))
    assert follow_zone_change(june, last=april) == june


def test_a_window_already_billed_in_the_old_zone_becomes_empty_not_reversed() -> None:
    old = subscription("2024-03-05", timezone=NEW_YORK)
    may = link_windows(old, instant("2024-06-01T04:10Z"))
    ended = subscription("2024-03-05", timezone=TOKYO, terminated_at="2024-05-31T20:00Z")
    windows = follow_zone_change(link_windows(ended, instant("2024-05-31T20:00Z")), last=may)
    assert windows.charges_from is not None
    assert windows.charges_to is not None
    assert windows.charges_from == to_exclusive(windows.charges_to)


# Anchor 30 in UTC, 31 in Tokyo; April's window ends on the 29th in both, May's on the 29th or 30th.
MOVED = "2024-01-30T20:00Z"


@pytest.mark.parametrize(
    ("before", "after", "at", "expected"),
    [
        # UTC billed 30 April to 29 May, in Tokyo the next period begins on 31 May: 30 May is not lost.
        ("UTC", TOKYO, "2024-06-29T16:00Z", ("2024-05-29T15:00:00Z", "2024-06-29T14:59:59Z")),
        # Tokyo billed 30 April to 30 May, in UTC the next period begins on 30 May: that day is not billed twice.
        (TOKYO, "UTC", "2024-06-30T01:00Z", ("2024-05-31T00:00:00Z", "2024-06-29T23:59:59Z")),
        (NEW_YORK, "UTC", "2024-06-30T01:00Z", ("2024-05-30T00:00:00Z", "2024-06-29T23:59:59Z")),
    ],
)
def test_base_fees_follow_one_another_by_days_after_a_change_of_zone(
    before: str, after: str, at: str, expected: tuple[str, str]
) -> None:
    old = subscription(MOVED, billing_time="anniversary", timezone=before)
    may = link_windows(old, instant("2024-05-31T16:00Z"))
    new = msgspec.structs.replace(old, timezone=after)
    june = link_windows(new, instant(at))
    aligned = align_base_fee(new, instant(at), june, last=may, last_timezone=before)
    assert span(aligned, "subscription") == expected
    # From then on nothing is left to align.
    later = link_windows(new, instant(at) + timedelta(days=31))
    assert align_base_fee(new, instant(at), later, last=aligned, last_timezone=after) == later


def test_a_link_about_the_period_that_was_billed_keeps_its_days() -> None:
    """A yearly plan that bills its charges monthly: the year ends where it was paid to, whatever the grid says now."""
    fields = {"interval": "yearly", "pay_in_advance": True, "bill_charges_monthly": True}
    old = subscription("2023-05-31T20:00Z", billing_time="anniversary", timezone="UTC", **fields)
    year = link_windows(old, instant("2024-05-31T01:00Z"))
    assert span(year, "subscription") == whole("2024-05-31", "2025-05-30")
    new = msgspec.structs.replace(old, timezone=TOKYO)
    kept, at = year, instant("2024-07-02T01:00Z")
    kept = align_base_fee(new, at, link_windows(new, at), last=kept, last_timezone="UTC")
    assert span(kept, "subscription") == ("2024-05-30T15:00:00Z", "2025-05-30T14:59:59Z")
    at = instant("2025-06-01T01:00Z")
    following = align_base_fee(new, at, link_windows(new, at), last=kept, last_timezone=TOKYO)
    assert span(following, "subscription") == ("2025-05-30T15:00:00Z", "2026-05-31T14:59:59Z")


def test_an_end_in_arrears_bills_no_day_again() -> None:
    """April was billed to the 29th; in the new zone the 30th still lies in the period that began on the 1st."""
    old = subscription("2024-01-31T20:00Z", billing_time="anniversary", timezone="UTC")
    april = link_windows(old, instant("2024-04-30T00:00Z"))
    assert span(april, "subscription") == whole("2024-03-31", "2024-04-29")
    at = "2024-04-30T09:00:00Z"
    ended = msgspec.structs.replace(
        old, timezone=TOKYO, status="terminated", terminated_at=instant(at)
    )
    computed = link_windows(ended, instant(at))
    windows = follow_zone_change(computed, last=april)
    windows = align_base_fee(ended, instant(at), windows, last=april, last_timezone="UTC")
    assert span(windows, "charges") == ("2024-04-30T00:00:00Z", at)
    assert span(windows, "subscription") == ("2024-04-29T15:00:00Z", at)


# --- the clock -------------------------------------------------------------------------------------

TICKS = [
    ("2024-02-29", "2024-02-29T05:10Z", "2024-02-29T15:10Z", "2024-02-29T00:10Z"),
    ("2024-03-31", "2024-03-31T04:10Z", "2024-03-31T15:10Z", "2024-03-31T00:10Z"),
    ("2024-04-30", "2024-04-30T04:10Z", "2024-04-30T15:10Z", "2024-04-30T00:10Z"),
    ("2024-05-31", "2024-05-31T04:10Z", "2024-05-31T15:10Z", "2024-05-31T00:10Z"),
    ("2024-06-30", "2024-06-30T04:10Z", "2024-06-30T15:10Z", "2024-06-30T00:10Z"),
    ("2024-10-31", "2024-10-31T04:10Z", "2024-10-31T15:10Z", "2024-10-31T00:10Z"),
    ("2024-11-30", "2024-11-30T05:10Z", "2024-11-30T15:10Z", "2024-11-30T00:10Z"),
    ("2024-12-31", "2024-12-31T05:10Z", "2024-12-31T15:10Z", "2024-12-31T00:10Z"),
]


@pytest.mark.parametrize("column", [1, 2, 3])
def test_tick_table(column: int) -> None:
    timezone = ["", NEW_YORK, TOKYO, "UTC"][column]
    sub = subscription("2024-01-31T15:00Z", timezone=timezone, **ANNIVERSARY)
    for row in TICKS:
        tick = instant(row[column])
        first = next(
            now
            for hours in range(48)
            if is_billing_day(sub, now := tick - timedelta(hours=20) + timedelta(hours=hours))
        )
        assert first == tick
        # The cursor names the first instant of that local day.
        due = next_billing_at(sub, tick - timedelta(days=2))
        assert due is not None
        assert tick - due <= timedelta(hours=1)


def test_half_hour_zones_are_ticked_40_minutes_after_midnight() -> None:
    sub = subscription("2024-01-05", timezone="Asia/Kolkata")
    assert next_billing_at(sub, instant("2024-05-15")) == instant("2024-05-31T18:30Z")
    assert not is_billing_day(sub, instant("2024-05-31T18:10Z"))
    assert is_billing_day(sub, instant("2024-05-31T19:10Z"))


def test_a_subscription_is_not_billed_on_its_own_first_day() -> None:
    sub = subscription("2024-06-01T08:00Z")
    assert not is_billing_day(sub, instant("2024-06-01T09:10Z"))
    assert next_billing_at(sub, sub.start) == instant("2024-07-01")


def test_a_backdated_subscription_is_billed_from_the_day_it_was_created() -> None:
    sub = subscription("2024-03-11", created_at="2024-05-20T10:00Z")
    assert not is_billing_day(sub, instant("2024-05-01T00:10Z"))
    assert next_billing_at(sub, sub.start) == instant("2024-06-01")
    on_billing_day = subscription("2024-03-11", created_at="2024-06-01T15:00Z")
    assert is_billing_day(on_billing_day, instant("2024-06-01T15:10Z"))
    assert next_billing_at(on_billing_day, on_billing_day.start) == instant("2024-06-01")


def test_nothing_is_billed_on_or_after_the_day_a_subscription_ends() -> None:
    sub = subscription("2024-03-05", ending_at="2024-07-01T12:00Z")
    assert next_billing_at(sub, instant("2024-05-15")) == instant("2024-06-01")
    assert next_billing_at(sub, instant("2024-06-01")) is None
    assert not is_billing_day(sub, instant("2024-07-01T00:10Z"))


@pytest.mark.parametrize("status", ["pending", "incomplete", "canceled"])
def test_only_active_subscriptions_are_billed_by_the_clock(status: Any) -> None:
    sub = msgspec.structs.replace(subscription("2024-03-05"), status=status)
    assert next_billing_at(sub, sub.start) is None
    assert not is_billing_day(sub, instant("2024-06-01T00:10Z"))


@pytest.mark.parametrize(
    ("interval", "split", "expected"),
    [
        ("yearly", False, "2025-01-01"),
        ("yearly", True, "2024-07-01"),
        ("semiannual", True, "2024-07-01"),
        ("quarterly", True, "2024-07-01"),
        ("weekly", True, "2024-06-24"),
    ],
)
def test_split_plans_are_billed_monthly(interval: Interval, split: bool, expected: str) -> None:
    sub = subscription("2024-03-05", interval, bill_fixed_charges_monthly=split)
    assert next_billing_at(sub, instant("2024-06-18")) == instant(expected)


def test_the_next_start_is_strictly_later() -> None:
    grid, tz = Grid("monthly", "calendar", day("2024-01-01")), zone(NEW_YORK)
    midnight = instant("2024-06-01T04:00Z")
    assert billing_day_starts(grid, tz, midnight - MICROSECOND) == midnight
    assert billing_day_starts(grid, tz, midnight) == instant("2024-07-01T04:00Z")


def test_a_midnight_that_comes_twice_is_one_start() -> None:
    # At 00:01 on 7 November 2010 clocks in St. John's went back to 23:01 of the 6th.
    grid, tz = Grid("monthly", "anniversary", day("2010-10-07")), zone("America/St_Johns")
    start = instant("2010-11-07T02:30Z")
    again_on_the_6th = start + timedelta(minutes=30)
    assert local_date(again_on_the_6th, tz) == day("2010-11-06")
    assert billing_day_starts(grid, tz, start - MICROSECOND) == start
    assert local_date(billing_day_starts(grid, tz, again_on_the_6th), tz) == day("2010-12-07")


def test_one_life_end_to_end_in_new_york() -> None:
    # given 30.00 monthly calendar advance
    old = subscription("2024-05-20T14:30Z", timezone=NEW_YORK, **ADVANCE)
    start = link_windows(old, instant("2024-05-20T14:30Z"))
    assert span(start, "subscription") == ("2024-05-20T04:00:00Z", "2024-06-01T03:59:59Z")
    tick = link_windows(old, instant("2024-06-01T04:10Z"))
    assert span(tick, "charges") == ("2024-05-20T14:30:00Z", "2024-06-01T03:59:59Z")
    # when it is upgraded on 17 June local
    upgraded_at = "2024-06-18T02:00:00Z"
    old = subscription(
        "2024-05-20T14:30Z",
        timezone=NEW_YORK,
        terminated_at=upgraded_at,
        successor="upgrade",
        **ADVANCE,
    )
    closing = link_windows(old, instant(upgraded_at), mode="current_usage")
    assert span(closing, "charges") == ("2024-06-01T04:00:00Z", upgraded_at)
    new = subscription(
        upgraded_at, timezone=NEW_YORK, subscription_at="2024-05-20T14:30Z", **ADVANCE
    )
    first = link_windows(new, instant(upgraded_at))
    assert span(first, "subscription") == ("2024-06-17T04:00:00Z", "2024-07-01T03:59:59Z")
    tick = link_windows(new, instant("2024-07-01T04:10Z"))
    assert span(tick, "subscription") == ("2024-07-01T04:00:00Z", "2024-08-01T03:59:59Z")
    assert span(tick, "charges") == (upgraded_at, "2024-07-01T03:59:59Z")
    # then its end closes July
    ended = subscription(
        upgraded_at, timezone=NEW_YORK, subscription_at="2024-05-20T14:30Z",
        terminated_at="2024-07-10T20:00Z", **ADVANCE,
    )  # fmt: skip
    last = termination_windows(ended, instant("2024-07-10T20:00Z"), recurring=[tick])
    assert span(last, "charges") == ("2024-07-01T04:00:00Z", "2024-07-10T20:00:00Z")
