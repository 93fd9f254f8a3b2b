"""Random charges and events, in any order of arrival: every bucket and group equals the oracle's."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.aggregation_oracle import ChargeSpec, FilterSpec, UsageRow
from reference.keeping_oracle import Keep
from reference.metering_oracle import Oracle, Subscription

from lago_engine._core import Core
from lago_engine.errors import CorruptionError

SECRET, ORG, PLAN, SUBSCRIPTION = b"s" * 16, b"o" * 16, b"p" * 16, b"u" * 16
DAY = 86_400_000_000
JUNE = 20_240 * DAY
WINDOW = (JUNE, JUNE + 30 * DAY)
PERIOD = (JUNE + 30 * DAY - 1, 30)
# Two days are short and one is long, as where clocks change.
DAY_STARTS = [JUNE + n * DAY + (DAY // 24 if n > 14 else 0) for n in range(1, 30)]
AGGREGATIONS = [
    "count_agg",
    "sum_agg",
    "max_agg",
    "latest_agg",
    "unique_count_agg",
    "weighted_sum_agg",
]
MAY_RECUR = {"sum_agg", "unique_count_agg", "weighted_sum_agg"}
KEYS = ["region", "tier", "zone", "n"]
VALUES = ["eu", "us", "5", "true", "é"]
NUMBERS = [
    "1",
    "-1",
    "2.50",
    '"7"',
    '"-0.5"',
    "1e3",
    '"1e3"',
    "1e-25",
    "123456789012345678901234567890",
    "3.000",
]
ODD_NUMBERS = ["null", '"x"', "true", "[1]", '""', '"+1"', "1e999", '{"a":null}']
TEXTS = ['"eu"', '"us"', '"5"', "5", "5e0", "true", '"true"', '"\\u00e9"', "null", '""', '[1,"a"]']
OPERATIONS = ['"add"', '"remove"', '"remove"', '"ADD"', "null", '""', "1"]

key_lists = st.lists(st.sampled_from(KEYS), max_size=2, unique=True)


@st.composite
def filters(draw: st.DrawFn) -> list[FilterSpec]:
    found = []
    for number in range(draw(st.integers(0, 4))):
        keys = draw(st.lists(st.sampled_from(KEYS[:2]), min_size=1, max_size=2, unique=True))
        accepted = st.lists(st.sampled_from(VALUES), min_size=1, max_size=4)
        values = [(key, draw(accepted)) for key in keys]
        found.append((bytes([200 + number]) * 16, values, draw(key_lists)))
    return found


@st.composite
def charges(draw: st.DrawFn) -> list[ChargeSpec]:
    found = []
    for number in range(draw(st.integers(1, 3))):
        aggregation = draw(st.sampled_from(AGGREGATIONS))
        recurring = aggregation in MAY_RECUR and draw(st.booleans())
        field = None if aggregation == "count_agg" else "n"
        identity = bytes([number]) * 16
        found.append(
            (identity, "m", aggregation, field, recurring, draw(key_lists), draw(filters()))
        )
    return found


@st.composite
def keepings(draw: st.DrawFn, plan: list[ChargeSpec]) -> dict[bytes, Keep]:
    found = {}
    for identity, _, aggregation, _, recurring, _, _ in plan:
        found[identity] = Keep(
            values=aggregation in ("sum_agg", "max_agg") and draw(st.booleans()),
            changes=recurring and aggregation != "weighted_sum_agg" and draw(st.booleans()),
            amounts=draw(st.booleans()),
            presentation_keys=draw(key_lists),
        )
    return found


@st.composite
def properties(draw: st.DrawFn) -> str:
    members = [("n", draw(st.sampled_from(NUMBERS * 3 + ODD_NUMBERS)))]
    for key in KEYS[:3]:
        if draw(st.booleans()):
            members.append((key, draw(st.sampled_from(TEXTS))))
    if draw(st.integers(0, 2)) == 0:
        members.append(("operation_type", draw(st.sampled_from(OPERATIONS))))
    text = "{" + ",".join(f'"{key}":{value}' for key, value in members) + "}"
    # What an event is worth stands beside its properties.
    amount = draw(st.sampled_from(["", "", "12.5", '"-3.000000000000001"', "null", '""']))
    return text + (f',"precise_total_amount_cents":{amount}' if amount else "")


instants = st.one_of(
    st.sampled_from([-1, 0, 1, 10, 15 * DAY, 15 * DAY + 1, 30 * DAY - 1, 30 * DAY]),
    st.integers(-5 * DAY, 31 * DAY),
).map(lambda offset: JUNE + offset)
events = st.lists(st.tuples(instants, properties()), max_size=24)


def body(batch: list[tuple[int, str]], first: int) -> bytes:
    items = []
    for number, (at, found) in enumerate(batch):
        items.append(
            f'{{"transaction_id":"t{first + number}","external_subscription_id":"e","code":"m",'
            f'"timestamp":"{at // 10**6}.{at % 10**6:06d}","properties":{found}}}'
        )
    return ('{"events":[' + ",".join(items) + "]}").encode()


class Engine:
    """A core and its oracle, fed alike."""

    def __init__(
        self,
        plan: list[ChargeSpec],
        started_at: int = JUNE,
        keeping: Mapping[bytes, Keep] | None = None,
    ) -> None:
        self.plan, self.started_at, self.keeping = plan, started_at, keeping or {}
        self.core, self.oracle = self.new_core(), Oracle()
        self.segments: list[bytes] = []

    def new_core(self) -> Core:
        core = Core(SECRET)
        core.put_plan(PLAN, self.plan, [], [(id_, *keep) for id_, keep in self.keeping.items()])
        core.put_subscription(SUBSCRIPTION, ORG, "e", b"c" * 16, PLAN, self.started_at, None)
        return core

    def commit(self, batch: list[tuple[int, str]], first: int, now_us: int) -> None:
        if not batch:
            return
        text = body(batch, first)
        assert self.core.ingest(ORG, text, False, now_us).status == 200
        self.oracle.ingest(ORG, text, False, now_us)
        sealed = self.core.seal(now_us, [])
        assert sealed.segment is not None
        self.segments.append(sealed.segment)
        self.core.confirm()
        self.oracle.seal()
        self.oracle.confirm()

    def feed(self, batches: list[list[tuple[int, str]]]) -> None:
        first = 0
        for number, batch in enumerate(batches):
            self.commit(batch, first, JUNE + number)
            first += len(batch)

    def read(self, core: Core) -> list[UsageRow] | None:
        return core.read_window(SUBSCRIPTION, *WINDOW, PERIOD, DAY_STARTS)

    def expected(self) -> list[UsageRow]:
        subscription = Subscription(ORG, "e", self.plan, self.started_at, None)
        return self.oracle.usage(subscription, *WINDOW, PERIOD, self.keeping, DAY_STARTS)


@settings(max_examples=400, deadline=None)
@given(charges(), events, st.data())
def test_buckets_equal_the_oracle(
    plan: list[ChargeSpec], found: list[tuple[int, str]], data: st.DataObject
) -> None:
    started_at = data.draw(st.sampled_from([JUNE - 3 * DAY, JUNE, JUNE + 10 * DAY]))
    engine = Engine(plan, started_at, data.draw(keepings(plan)))
    assert engine.core.open_window(SUBSCRIPTION, *WINDOW)
    size = data.draw(st.integers(1, 8))
    engine.feed([found[start : start + size] for start in range(0, len(found), size)])
    expected = engine.expected()
    assert engine.read(engine.core) == expected
    restored = Core.restore(SECRET, engine.core.snapshot())
    assert engine.read(restored) == expected
    # Folded again from the log, by a core that learns of the window last.
    engine.core.close_window(SUBSCRIPTION, *WINDOW)
    if not engine.core.open_window(SUBSCRIPTION, *WINDOW):
        assert engine.core.fold_window(SUBSCRIPTION, *WINDOW, engine.segments)
    assert engine.read(engine.core) == expected


NEXT = (JUNE + 30 * DAY, JUNE + 61 * DAY)


@settings(max_examples=200, deadline=None)
@given(charges(), events, st.data())
def test_the_next_window_begins_where_the_last_one_ended(
    plan: list[ChargeSpec], found: list[tuple[int, str]], data: st.DataObject
) -> None:
    engine = Engine(plan, keeping=data.draw(keepings(plan)))
    assert engine.core.open_window(SUBSCRIPTION, *WINDOW)
    engine.feed([[(at, text) for at, text in found if at < NEXT[0]]])
    assert engine.core.open_window(SUBSCRIPTION, *NEXT)
    subscription = Subscription(ORG, "e", plan, engine.started_at, None)
    period = NEXT[1] - 1, 31
    rows = engine.core.read_window(SUBSCRIPTION, *NEXT, period, [NEXT[0] + DAY])
    keeping = engine.keeping
    assert rows == engine.oracle.usage(subscription, *NEXT, period, keeping, [NEXT[0] + DAY])


@pytest.mark.parametrize("split", [0, 1, 2, 3])
def test_of_events_at_one_instant_the_last_received_is_the_latest(split: int) -> None:
    plan: list[ChargeSpec] = [
        (b"1" * 16, "m", "latest_agg", "n", False, [], []),
        (b"2" * 16, "m", "unique_count_agg", "region", False, [], []),
    ]
    engine = Engine(plan)
    assert engine.core.open_window(SUBSCRIPTION, *WINDOW)
    texts = [
        '{"n":9,"region":"eu"}',
        '{"n":2,"region":"eu","operation_type":"remove"}',
        '{"n":4,"region":"us"}',
    ]
    batch = [(JUNE + DAY, text) for text in texts]
    engine.feed([batch[:split], batch[split:]])
    rows = engine.read(engine.core)
    assert rows is not None
    assert [row[3] for row in rows] == ["4", "1"]


@settings(max_examples=100, deadline=None)
@given(charges(), events, st.integers(0, 2**32), st.data())
def test_the_order_of_arrival_changes_nothing(
    plan: list[ChargeSpec], found: list[tuple[int, str]], seed: int, data: st.DataObject
) -> None:
    """Events of one instant are told apart by their arrival, so here each has an instant of its own."""
    apart = [(at + number, text) for number, (at, text) in enumerate(sorted(found))]
    shuffled = random.Random(seed).sample(apart, len(apart))
    keeping = data.draw(keepings(plan))
    totals = []
    for batch in (apart, shuffled):
        engine = Engine(plan, keeping=keeping)
        assert engine.core.open_window(SUBSCRIPTION, *WINDOW)
        engine.feed([batch])
        totals.append(engine.read(engine.core))
    assert totals[0] == totals[1]


def usage(aggregation: str, recurring: bool, found: list[tuple[float, str]]) -> tuple[str, int]:
    engine = Engine([(b"c" * 16, "m", aggregation, "n", recurring, [], [])], JUNE - 60 * DAY)
    engine.core.open_window(SUBSCRIPTION, *WINDOW)
    engine.feed([[(JUNE + int(day * DAY), text) for day, text in found]])
    rows = engine.read(engine.core)
    assert rows is not None
    [(_, _, _, units, count, *_)] = rows
    return units, count


def value(text: str, operation: str | None = None) -> str:
    members = {"n": text} if operation is None else {"n": text, "operation_type": operation}
    return json.dumps(members)


EXAMPLES = [
    ("sum_agg", False, [(1, value("12.5")), (2, value("7")), (3, value("abc")), (4, "{}"), (5, value("-3"))], "16.5", 3),
    ("sum_agg", True, [(-9, value("20")), (3, value("5")), (4, value("-3"))], "22", 3),
    ("max_agg", False, [(1, value("4")), (2, value("19")), (3, value("7"))], "19", 3),
    ("max_agg", False, [(1, value("-4"))], "-4", 1),
    ("max_agg", False, [], "0", 0),
    ("latest_agg", False, [(2, value("9")), (19, value("4")), (9, value("6"))], "4", 3),
    ("latest_agg", False, [(2, value("9")), (19, value("-4"))], "0", 2),
    ("unique_count_agg", False,
     [(n, value(*pair)) for n, pair in enumerate([("A",), ("B",), ("A",), ("A", "remove"), ("C", "remove"), ("C",),
                                                  ("B", "remove"), ("B", "add")])], "2", 2),
    ("unique_count_agg", True, [(-9, value("A")), (1, value("B")), (2, value("A", "remove"))], "1", 1),
    ("unique_count_agg", False, [(1, "{}"), (2, value("A", "ADD")), (3, value("B", ""))], "0", 0),
    ("weighted_sum_agg", False, [(3, value("10")), (15.5, value("-4"))], "7.06666666666666666667", 2),
    ("weighted_sum_agg", True, [(-20, value("5")), (3, value("10")), (15.5, value("-4"))], "12.06666666666666666667", 2),
    ("weighted_sum_agg", False, [(10, value("10"))], "6.66666666666666666667", 1),
]  # fmt: skip


@pytest.mark.parametrize(("aggregation", "recurring", "found", "units", "count"), EXAMPLES)
def test_examples_of_the_specification(
    aggregation: str, recurring: bool, found: list[tuple[float, str]], units: str, count: int
) -> None:
    assert usage(aggregation, recurring, found) == (units, count)


def test_what_a_plan_must_not_say() -> None:
    core = Core(SECRET)
    one = (b"f" * 16, [("region", ["eu"])], [])
    good: ChargeSpec = (b"c" * 16, "m", "sum_agg", "n", True, ["region"], [one])
    core.put_plan(b"1" * 16, [good])
    for number, (place, wrong) in enumerate(
        [
            (2, "custom_agg"),
            (2, "count_agg"),
            (2, "max_agg"),
            (3, None),
            (6, [(b"f" * 16, [], [])]),
            (6, [(b"f" * 16, [("region", [])], [])]),
            (6, [(b"f" * 16, [("region", ["eu"]), ("region", ["us"])], [])]),
        ]
    ):
        changed = [*good]
        changed[place] = wrong
        with pytest.raises(ValueError, match=r"."):
            core.put_plan(bytes([number]) * 16, [tuple(changed)])  # type: ignore[list-item]


def test_a_weighted_sum_is_read_with_its_period() -> None:
    engine = Engine([(b"c" * 16, "m", "weighted_sum_agg", "n", False, [], [])])
    assert engine.core.open_window(SUBSCRIPTION, *WINDOW)
    for period in (None, (PERIOD[0], 0)):
        with pytest.raises(ValueError, match="period"):
            engine.core.read_window(SUBSCRIPTION, *WINDOW, period)


def test_changes_are_read_with_the_days_of_the_window() -> None:
    keeping = {b"c" * 16: Keep(changes=True)}
    engine = Engine([(b"c" * 16, "m", "sum_agg", "n", True, [], [])], keeping=keeping)
    assert engine.core.open_window(SUBSCRIPTION, *WINDOW)
    with pytest.raises(ValueError, match="days"):
        engine.core.read_window(SUBSCRIPTION, *WINDOW, PERIOD)


@pytest.mark.parametrize(
    ("aggregation", "recurring", "keep"),
    [
        ("count_agg", False, Keep(values=True)),
        ("latest_agg", False, Keep(values=True)),
        ("unique_count_agg", True, Keep(values=True)),
        ("weighted_sum_agg", True, Keep(values=True)),
        ("sum_agg", False, Keep(changes=True)),
        ("weighted_sum_agg", True, Keep(changes=True)),
    ],
)
def test_what_cannot_be_kept(aggregation: str, recurring: bool, keep: Keep) -> None:
    field = None if aggregation == "count_agg" else "n"
    with pytest.raises(ValueError, match=r"."):
        Engine([(b"c" * 16, "m", aggregation, field, recurring, [], [])], keeping={b"c" * 16: keep})


def test_old_snapshots_are_refused() -> None:
    snapshot = Core(SECRET).snapshot()
    magic, version = snapshot[:7], snapshot[7]
    assert magic == b"LAGOSNP"
    with pytest.raises(CorruptionError, match="version"):
        Core.restore(SECRET, magic + bytes([version - 1]) + snapshot[8:])
