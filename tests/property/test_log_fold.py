"""A fold of the log beside the windows gives what a window gives, however it is fed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from property.test_core_aggregations import (
    DAY_STARTS,
    JUNE,
    ORG,
    PERIOD,
    SECRET,
    SUBSCRIPTION,
    WINDOW,
    ChargeSpec,
    Engine,
    charges,
    events,
    keepings,
)

from lago_engine._core import Core, LogFold

Events = list[tuple[int, str]]


def folded(core: Core, as_of: Engine, only: list[tuple[str, list[str]]] | None = None) -> LogFold:
    """A fold of `core`'s log under the plan of `as_of`."""
    fold = core.log_fold(core.streams_of(ORG, "e"))
    plan = fold.plan(as_of.plan, [(id_, *keep) for id_, keep in as_of.keeping.items()])
    assert fold.add(core, ORG, "e", *WINDOW, plan, only or []) == 0
    return fold


@settings(max_examples=200, deadline=None)
@given(charges(), charges(), events, st.data())
def test_any_plan_folds_as_a_window_of_it_does(
    plan: list[ChargeSpec], other: list[ChargeSpec], found: Events, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, 4))
    batches = [found[start : start + size] for start in range(0, len(found), size)]
    of_other, engine = Engine(other, keeping=data.draw(keepings(other))), Engine(plan)
    assert of_other.core.open_window(SUBSCRIPTION, *WINDOW)
    of_other.feed(batches)
    engine.feed(batches)
    before = engine.core.stats()
    fold = folded(engine.core, of_other)
    split = data.draw(st.integers(0, len(engine.segments)))
    fold.feed(engine.segments[:split])
    fold.read(0, PERIOD, DAY_STARTS)
    fold.feed(engine.segments[split:], parallel=data.draw(st.booleans()))
    assert fold.read(0, PERIOD, DAY_STARTS) == of_other.read(of_other.core)
    assert fold.fed == len(engine.segments)
    assert engine.core.stats() == before


@settings(max_examples=50, deadline=None)
@given(charges(), st.lists(events, min_size=16, max_size=20), st.data())
def test_two_threads_give_what_one_gives(
    plan: list[ChargeSpec], batches: list[Events], data: st.DataObject
) -> None:
    engine = Engine(plan, keeping=data.draw(keepings(plan)))
    engine.feed(batches)
    rows = []
    for parallel in (False, True):
        fold = folded(engine.core, engine)
        fold.feed(engine.segments, parallel=parallel)
        rows.append(fold.read(0, PERIOD, DAY_STARTS))
    assert rows[0] == rows[1]


@settings(max_examples=100, deadline=None)
@given(
    charges(), events, st.sampled_from(["region", "tier"]), st.sets(st.sampled_from(["eu", "5"]))
)
def test_only_keeps_events_whose_property_is_one_of_the_texts(
    plan: list[ChargeSpec], found: Events, key: str, texts: set[str]
) -> None:
    def kept(text: str) -> bool:
        value: Any = json.loads(f'{{"properties":{text}}}', parse_int=str, parse_float=str)
        value = value["properties"].get(key)
        # `5e0` is the number 5.
        return isinstance(value, str) and ("5" if value == "5e0" else value) in texts

    engine, expected = Engine(plan), Engine(plan)
    assert expected.core.open_window(SUBSCRIPTION, *WINDOW)
    engine.feed([[event] for event in found])
    expected.feed([[event] for event in found if kept(event[1])])
    fold = folded(engine.core, engine, [(key, sorted(texts))])
    fold.feed(engine.segments)
    assert fold.read(0, PERIOD, DAY_STARTS) == expected.read(expected.core)


def test_selections_of_several_subscriptions_in_one_pass() -> None:
    plan: list[ChargeSpec] = [(b"1" * 16, "m", "sum_agg", "n", False, [], [])]
    engine = Engine(plan)
    for number, name in enumerate(["e", "f", "e", "g"]):
        body = (
            f'{{"event":{{"transaction_id":"t{number}","external_subscription_id":"{name}",'
            f'"code":"m","timestamp":"{JUNE // 10**6 + number}","properties":{{"n":{number + 1}}}}}}}'
        )
        assert engine.core.ingest(ORG, body.encode(), True, JUNE).status == 200
    sealed = engine.core.seal(JUNE, [])
    engine.core.confirm()
    assert sealed.segment is not None
    fold = engine.core.log_fold()
    number = fold.plan(plan)
    whole = [fold.add(engine.core, ORG, name, *WINDOW, number) for name in ("e", "f", "nobody")]
    part = fold.add(engine.core, ORG, "e", WINDOW[0] + 1_000_000, WINDOW[1], number)
    fold.feed([sealed.segment])
    assert [fold.read(each)[0][3] for each in (*whole, part)] == ["4", "2", "0", "3"]


def test_wrong_use_is_refused() -> None:
    engine = Engine([])
    engine.feed([[(JUNE, "{}")], [(JUNE, "{}")]])
    fold = folded(engine.core, engine)
    with pytest.raises(ValueError, match="ascending"):
        fold.feed(engine.segments[::-1])
    with pytest.raises(RuntimeError, match="no more selections"):
        fold.add(engine.core, ORG, "e", *WINDOW, 0)
    fresh = Core(SECRET).log_fold()
    with pytest.raises(ValueError, match="no such plan"):
        fresh.add(engine.core, ORG, "e", *WINDOW, 7)
    with pytest.raises(ValueError, match="no such selection"):
        fresh.read(1)
