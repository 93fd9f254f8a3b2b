"""Periods against a slow day-by-day oracle: every interval, billing time and kind of time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import get_args

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import periods_oracle as oracle

from lago_engine.domain.periods import (
    BillingTime,
    Grid,
    Interval,
    Mode,
    PeriodSubject,
    Succession,
    Windows,
    billing_day_starts,
    first_month,
    is_billing_day,
    link_windows,
    next_billing_at,
    termination_windows,
)
from lago_engine.domain.proration import BaseFeeInput, base_fee, days_between, is_backdated, prorate
from lago_engine.domain.timezones import (
    MICROSECOND,
    end_of_day,
    from_micros,
    micros,
    start_of_day,
    to_exclusive,
    zone,
)

ZONES = [
    "UTC",
    "America/New_York",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "America/St_Johns",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Europe/Paris",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
]
DAY = timedelta(days=1)
LINKS_MAX = 8

zones = st.sampled_from(ZONES)
intervals = st.sampled_from(get_args(Interval))
billing_times = st.sampled_from(get_args(BillingTime))
days = st.dates(date(2005, 1, 1), date(2036, 12, 31))
# Ends of months and the days around changes of the clock are where periods go wrong.
hard_days = days | st.sampled_from(
    [date(2024, 2, 29), date(2023, 12, 31), date(2024, 1, 31), date(2011, 12, 29), date(2011, 12, 30),
     date(2010, 11, 6), date(2010, 11, 7), date(2018, 11, 3), date(2018, 11, 4), date(2024, 3, 10)]
)  # fmt: skip
seconds_of_day = st.integers(0, 86_399)


@st.composite
def instants(draw: st.DrawFn, of_days: st.SearchStrategy[date] = hard_days) -> datetime:
    day = draw(of_days)
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
        seconds=draw(seconds_of_day)
    )


@st.composite
def subjects(
    draw: st.DrawFn, *, split: bool = False, of_days: st.SearchStrategy[date] = hard_days
) -> PeriodSubject:
    """An active subscription created when it starts; its anchor may lie before its start."""
    started_at = draw(instants(of_days))
    return PeriodSubject(
        subscription_at=started_at - timedelta(days=draw(st.sampled_from([0, 0, 1, 40, 365]))),
        created_at=started_at,
        started_at=started_at,
        status="active",
        interval=draw(intervals),
        billing_time=draw(billing_times),
        pay_in_advance=draw(st.booleans()),
        bill_charges_monthly=split and draw(st.booleans()),
        bill_fixed_charges_monthly=split and draw(st.booleans()),
        timezone=draw(zones),
    )


def terminated(sub: PeriodSubject, at: datetime, successor: Succession | None) -> PeriodSubject:
    return msgspec.structs.replace(sub, status="terminated", terminated_at=at, successor=successor)


def ticks(sub: PeriodSubject, count: int) -> list[datetime]:
    """The first `count` billings of the cursor."""
    found: list[datetime] = []
    at = next_billing_at(sub, sub.start)
    while at is not None and len(found) < count:
        found.append(at)
        at = next_billing_at(sub, at)
    return found


# --- grid and local days ---------------------------------------------------------------------------


@settings(deadline=None)
@given(intervals, billing_times, hard_days, hard_days)
def test_grid_agrees_with_the_day_by_day_oracle(
    interval: Interval, billing_time: BillingTime, anchor: date, day: date
) -> None:
    grid = Grid(interval, billing_time, anchor)
    start = oracle.start_on_or_before(day, interval, billing_time, anchor)
    following = oracle.start_after(start, interval, billing_time, anchor)
    period = grid.period(day)
    assert (period.first, period.last) == (start, following - DAY)
    assert grid.next(start) == following
    assert grid.period_before(day).last == start - DAY
    assert grid.length(day) == (following - start).days


@settings(deadline=None)
@given(hard_days, zones)
@example(date(2011, 12, 30), "Pacific/Apia")
@example(date(2018, 11, 4), "America/Sao_Paulo")
@example(date(2010, 11, 7), "America/St_Johns")
def test_local_days_agree_with_the_minute_by_minute_oracle(day: date, timezone: str) -> None:
    start = start_of_day(day, zone(timezone))
    assert start == oracle.first_instant(day, timezone)
    assert to_exclusive(end_of_day(day - DAY, zone(timezone))) == start


@given(instants(), st.integers(0, 999_999))
def test_microseconds_since_the_epoch_lose_nothing(moment: datetime, fraction: int) -> None:
    moment += fraction * MICROSECOND
    assert from_micros(micros(moment)) == moment


# --- windows ---------------------------------------------------------------------------------------


def check_against_oracle(
    sub: PeriodSubject, at: datetime, windows: Windows, current_usage: bool
) -> None:
    fee, usage = oracle.windows(
        at=at,
        started_at=sub.start,
        subscription_at=sub.subscription_at,
        terminated_at=sub.ended_at,
        successor=sub.successor,
        interval=sub.interval,
        billing_time=sub.billing_time,
        pay_in_advance=sub.pay_in_advance,
        zone_name=sub.timezone,
        current_usage=current_usage,
    )
    assert (windows.subscription_from, windows.subscription_to) == fee
    assert (windows.charges_from, windows.charges_to) == usage
    assert (windows.fixed_charges_from, windows.fixed_charges_to) == usage


# A local date that comes back after the next one began is left to the tiling test below.
plain_days = days.filter(lambda day: day.year >= 2012)


@settings(deadline=None)
@given(subjects(of_days=plain_days), st.integers(0, 800), seconds_of_day)
def test_windows_of_a_living_subscription(sub: PeriodSubject, later: int, second: int) -> None:
    at = sub.start + timedelta(days=later, seconds=second)
    check_against_oracle(sub, at, link_windows(sub, at), current_usage=False)
    running = link_windows(sub, at, mode="current_usage")
    check_against_oracle(sub, at, running, current_usage=True)


@settings(deadline=None)
@given(subjects(of_days=plain_days), st.integers(0, 800), seconds_of_day, st.booleans())
def test_windows_of_an_ended_subscription(
    sub: PeriodSubject, later: int, second: int, upgraded: bool
) -> None:
    at = sub.start + timedelta(days=later, seconds=second)
    ended = terminated(sub, at, "upgrade" if upgraded else None)
    windows = link_windows(ended, at, mode="current_usage" if upgraded else "billing")
    check_against_oracle(ended, at, windows, current_usage=upgraded)


@settings(deadline=None)
@given(subjects(of_days=plain_days), st.integers(0, 3_599))
def test_windows_of_a_downgrade_at_a_billing_day(sub: PeriodSubject, second: int) -> None:
    at = ticks(sub, 1)[0] + timedelta(seconds=second)
    downgraded = terminated(sub, at, "downgrade")
    check_against_oracle(downgraded, at, link_windows(downgraded, at), current_usage=False)


# --- a life leaves no gap and no overlap -------------------------------------------------------------


def spans(links: list[Windows], family: str) -> list[tuple[datetime, datetime]]:
    found = []
    for link in links:
        start, end = getattr(link, f"{family}_from"), getattr(link, f"{family}_to")
        if start is not None and (not found or start != found[-1][0]):
            found.append((start, end))
    return found


def assert_tiles(found: list[tuple[datetime, datetime]], first: datetime, last: datetime) -> None:
    assert found[0][0] == first
    assert found[-1][1] == last
    for (_, end), (start, _) in pairwise(found):
        assert start == to_exclusive(end)
    assert all(start <= end for start, end in found)


@st.composite
def lives(draw: st.DrawFn) -> tuple[PeriodSubject, list[Windows]]:
    """A subscription billed by its cursor up to some period, then closed inside the next one."""
    sub = draw(subjects(split=True))
    count = draw(st.integers(0, LINKS_MAX))
    billed = ticks(sub, count + 1)
    links = [link_windows(sub, at) for at in billed[:count]]
    begin = max(sub.start, billed[count - 1] if count else sub.start)
    room = int((billed[count] - begin).total_seconds()) - 1
    ended_at = begin + timedelta(seconds=draw(st.integers(0, max(room, 0))))
    ended = terminated(sub, ended_at, draw(st.sampled_from([None, "upgrade"])))
    if ended.successor is None:
        closing = termination_windows(ended, ended_at, recurring=links)
    else:
        closing = link_windows(ended, ended_at, mode="current_usage")
    return ended, [*links, closing]


@settings(deadline=None)
@given(lives())
def test_usage_windows_tile_the_life(life: tuple[PeriodSubject, list[Windows]]) -> None:
    sub, links = life
    assert sub.terminated_at is not None
    for family in ("charges", "fixed_charges"):
        assert_tiles(spans(links, family), sub.start, sub.terminated_at)


@settings(deadline=None)
@given(lives())
def test_base_fee_windows_tile_the_life_in_whole_days(
    life: tuple[PeriodSubject, list[Windows]],
) -> None:
    sub, links = life
    assert sub.terminated_at is not None
    alive = msgspec.structs.replace(sub, status="active")
    billed = zip(ticks(alive, len(links) - 1), links, strict=False)
    with_fee = [link for at, link in billed if first_month(sub, at)] + [links[-1]]
    if sub.pay_in_advance:
        with_fee.insert(0, link_windows(alive, sub.start))
    first_day = sub.local_date(sub.start)
    tiles = spans(with_fee, "subscription")
    assert tiles[0][0] == start_of_day(first_day, sub.tz)
    for (_, end), (start, _) in pairwise(tiles):
        assert start == to_exclusive(end)
    if sub.pay_in_advance:
        return
    # The days of all windows are the days lived, the closing day included.
    assert tiles[-1][1] == sub.terminated_at
    counted = sum(max(days_between(start, end, sub.tz), 0) for start, end in tiles)
    assert counted == (sub.local_date(sub.terminated_at) - first_day).days + 1


@settings(deadline=None)
@given(subjects(split=True), st.integers(1, 4))
def test_a_missed_billing_is_made_up_for_by_a_termination_within_the_day(
    sub: PeriodSubject, count: int
) -> None:
    *billed, missed = ticks(sub, count + 1)
    links = [link_windows(sub, at) for at in billed]
    ended_at = missed + timedelta(minutes=5)
    closing = termination_windows(terminated(sub, ended_at, None), ended_at, recurring=links)
    as_the_clock = link_windows(sub, missed)
    first_of_main = sub.main_grid.start(sub.local_date(missed)) == sub.local_date(missed)
    if sub.billing_grid == sub.main_grid or first_of_main:
        assert closing == as_the_clock
    if sub.splits_charges:
        assert closing.charges_from == as_the_clock.charges_from
    # Once the clock has billed it, the new period is closed instead.
    closing = termination_windows(
        terminated(sub, ended_at, None), ended_at, recurring=[*links, as_the_clock]
    )
    assert closing.charges_to == ended_at
    assert closing == link_windows(terminated(sub, ended_at, None), ended_at)


# --- the clock -------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(subjects(split=True, of_days=plain_days))
def test_hourly_ticks_find_the_days_of_the_cursor(sub: PeriodSubject) -> None:
    until = sub.start + timedelta(days=70)
    tick = sub.start.replace(minute=10, second=0) + timedelta(hours=1)
    ticked: list[date] = []
    while tick < until:
        day = sub.local_date(tick)
        if is_billing_day(sub, tick) and day not in ticked:
            ticked.append(day)
        tick += timedelta(hours=1)
    cursor = [sub.local_date(at) for at in ticks(sub, 12) if at < until - timedelta(hours=3)]
    assert ticked[: len(cursor)] == cursor
    assert len(ticked) - len(cursor) <= 1


@settings(deadline=None)
@given(instants(), zones, intervals, billing_times, hard_days)
def test_the_next_start_is_the_first_one_strictly_after(
    after: datetime, timezone: str, interval: Interval, billing_time: BillingTime, anchor: date
) -> None:
    tz = zone(timezone)
    found = billing_day_starts(Grid(interval, billing_time, anchor), tz, after)
    assert found > after
    day = after.astimezone(tz).date() - DAY
    while oracle.first_instant(day, timezone) <= after or not oracle.is_start(
        day, interval, billing_time, anchor
    ):
        day += DAY
    assert found == oracle.first_instant(day, timezone)


# --- amounts ---------------------------------------------------------------------------------------


@given(st.integers(0, 10**20), st.integers(1, 366), st.integers(0, 366))
def test_prorated_parts_never_miss_the_whole_by_more_than_their_roundings(
    amount: int, length: int, cut: int
) -> None:
    cut = min(cut, length)
    parts = [prorate(amount, days, length) for days in (cut, length - cut)]
    assert abs(sum(part.amount_cents for part in parts) - amount) <= 1
    assert prorate(amount, length, length).amount_cents == amount
    for part in parts:
        assert abs(2 * (part.amount_cents * length - amount * part.days)) <= length


@st.composite
def billed_lives(draw: st.DrawFn) -> tuple[PeriodSubject, list[tuple[datetime, bool]]]:
    """A subscription, perhaps backdated, with the instants of its base fees; True ends it there."""
    sub = draw(subjects(of_days=plain_days))
    sub = msgspec.structs.replace(
        sub, created_at=sub.created_at + timedelta(days=draw(st.sampled_from([0, 0, 3, 60])))
    )
    starts = [sub.start] if sub.pay_in_advance and not is_backdated(sub) else []
    billed = ticks(sub, draw(st.integers(1, 3)))
    ended_at = billed[-1] + timedelta(hours=draw(st.integers(25, 24 * 6)))
    closing = [] if sub.pay_in_advance else [(ended_at, True)]
    return sub, [(at, False) for at in [*starts, *billed]] + closing


@settings(deadline=None)
@given(
    billed_lives(),
    st.sampled_from([None, "upgrade", "downgrade"]),
    st.sampled_from([None, "upgrade"]),
    st.none() | st.integers(1, 60 * 24),
    st.integers(0, 10**7),
)
def test_base_fees_agree_with_the_branches_of_the_contract(
    life: tuple[PeriodSubject, list[tuple[datetime, bool]]],
    predecessor: Succession | None,
    successor: Succession | None,
    trial_hours: int | None,
    amount_cents: int,
) -> None:
    living, billings = life
    trial_end = None if trial_hours is None else living.start + timedelta(hours=trial_hours)
    for index, (at, ends) in enumerate(billings):
        sub = terminated(living, at, successor) if ends else living
        mode: Mode = "current_usage" if ends and successor == "upgrade" else "billing"
        windows = link_windows(sub, at, mode=mode)
        window = windows.subscription_from, windows.subscription_to
        grid = (sub.interval, sub.billing_time, sub.local_date(sub.subscription_at))
        first = oracle.start_on_or_before(sub.local_date(window[0]), *grid)
        own = oracle.start_on_or_before(sub.local_date(at), *grid)
        expected = oracle.base_fee(
            window=window,
            trial_end=trial_end,
            amount_cents=amount_cents,
            period_days=(oracle.start_after(first, *grid) - first).days,
            previous_period_start=oracle.start_on_or_before(own - DAY, *grid),
            zone_name=sub.timezone,
            pay_in_advance=sub.pay_in_advance,
            anniversary=sub.billing_time == "anniversary",
            closing=ends,
            upgraded=successor == "upgrade",
            predecessor=predecessor,
            invoices=index + 1,
            earlier_base_fee=index > 0,
            backdated=is_backdated(sub),
            started_at=sub.start,
        )
        fee = base_fee(
            BaseFeeInput(
                subject=sub,
                at=at,
                window=window,
                amount_cents=amount_cents,
                trial_end=trial_end,
                predecessor=predecessor,
            )
        )
        assert fee.amount_cents == floor(expected + Fraction(1, 2))
        assert abs(Fraction(fee.precise_amount_cents) - expected) <= Fraction(1, 2 * 10**15)
