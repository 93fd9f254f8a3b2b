"""Metric expressions: parsed and evaluated as the oracle does, whatever the text, and kept with the events."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference.expression_oracle import Failed, Invalid, evaluate
from reference.metering_oracle import Oracle, Subscription, parse_json

from lago_engine._core import ChainVerifier, Core, EventScan, Expression

SECRET, ORG, OTHER = b"s" * 16, b"o" * 16, b"p" * 16
AT_US = 1_750_000_000_999_999
PROPERTIES = (
    '{"a":12.50,"b":"007","c":"x","d":null,"e":true,"f":"-1.5e2","g":[1,"y"],"h":0,"i":"+3",'
    '"j":1e-30,"k":"1e999","l":"' + "9" * 60 + '"}'
)
atoms = st.sampled_from(
    ["0", "1", "2.50", "1000", "0.3", "'x'", "'5'", "''", "event.timestamp", "event.code", "event.properties.missing"]
    + [f"event.properties.{name}" for name in "aaabbcdeffghiijjkll"]
)  # fmt: skip
places = st.sampled_from(
    ["0", "2", "-2", "1.9", "-1.9", "event.properties.b", "99999999999", "'x'"]
)


def composite(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.lists(inner, min_size=1, max_size=3).map(",".join)
    return st.one_of(
        st.tuples(inner, st.sampled_from([" + ", "-", "*", "/ ", " /"]), inner).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-({text})"),
        st.tuples(st.sampled_from(["round", "CEIL", "Floor"]), inner, places).map(
            lambda t: f"{t[0]}({t[1]}, {t[2]})"
        ),
        st.tuples(st.sampled_from(["round", "ceil ", "FLOOR"]), inner).map(
            lambda t: f"{t[0]}({t[1]})"
        ),
        st.tuples(st.sampled_from(["concat", "Least", "GREATEST"]), lists).map(
            lambda t: f"{t[0]}({t[1]})"
        ),
    )


expressions = st.recursive(atoms, composite, max_leaves=8)


def expected_outcome(text: str) -> tuple[str | None, str | None] | None:
    """(value, None), (None, error), or None if the text is no expression."""
    try:
        return evaluate(text, "seat", AT_US, parse_json(PROPERTIES.encode())), None
    except Invalid:
        return None
    except Failed as error:
        return None, str(error)


def outcome(text: str) -> tuple[str | None, str | None] | None:
    try:
        expression = Expression(text)
    except ValueError:
        return None
    return expression.evaluate("seat", AT_US, PROPERTIES.encode())


@settings(max_examples=1000, deadline=None)
@given(expressions)
@example("round(event.properties.a / 1000, 2)")
@example("1/3")
@example("-1/3*3")
@example("event.properties.l * event.properties.l / 7")
def test_values_equal_the_oracle(text: str) -> None:
    assert outcome(text) == expected_outcome(text)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    text = draw(expressions)
    at = draw(st.integers(0, len(text)))
    piece = draw(st.one_of(st.text(max_size=2), st.sampled_from("()-+*/.,' 1e")))
    return text[:at] + piece + text[at + draw(st.integers(0, 2)) :]


@settings(max_examples=1000, deadline=None)
@given(st.one_of(damaged(), st.text(alphabet="()-+*/.,' 1aeé\t\nround", max_size=12), st.text()))
@example("(" * 64 + "1" + ")" * 64)
@example("(" * 63 + "1" + ")" * 63)
@example("-" * 5000)
@example("1+" * 2047 + "1")
@example("1+" * 2048 + "1")
@example("9" * 1001)
@example("round(0, -99999999999)")
@example("round(5, -3000) + ceil(5, -3000)")
def test_any_text_parses_or_is_refused(text: str) -> None:
    assert outcome(text) == expected_outcome(text)


METRICS = {
    "gb": ("gb", "event.properties.mb / 1000"),
    "name": ('n\\a"me', "concat(event.code, '-', event.properties.mb)"),
    "time": ("gb", "event.timestamp + event.properties.gb"),
}
PLAN = b"q" * 16
CHARGES = [
    (b"1" * 16, "gb", "sum_agg", "gb", False, ["mb"], []),
    (b"2" * 16, "time", "max_agg", "gb", False, [], []),
    (b"3" * 16, "name", "unique_count_agg", 'n\\a"me', False, [], []),
]  # fmt: skip
found_properties = st.sampled_from(
    ["{}", '{"mb":350}', '{"gb":1,"mb":"350"}', '{"gb": 2 , "mb":"x"}', '{"mb":"1.5","gb":[]}', "[]", '{ "gb":"3" }']
)  # fmt: skip


@st.composite
def usage_events(draw: st.DrawFn) -> str:
    members = {
        "transaction_id": json.dumps(f"t{draw(st.integers(0, 10_000))}"),
        "external_subscription_id": '"e"',
        "code": json.dumps(draw(st.sampled_from([*METRICS, *METRICS, "plain"]))),
        "properties": draw(found_properties),
        "timestamp": draw(st.sampled_from(["1750000000.25", "null", '"-1.5"'])),
    }
    if draw(st.integers(0, 9)) == 0:
        members.pop(draw(st.sampled_from(sorted(members))))
    return "{" + ",".join(f'"{key}":{value}' for key, value in members.items()) + "}"


def without_ids(body: bytes) -> object:
    parsed = parse_json(body)
    events = parsed if isinstance(parsed, list) else parsed.get("events", [parsed.get("event", {})])
    for event in events:
        event.pop("lago_id", None)
    if isinstance(parsed, dict) and "status" in parsed:
        parsed["status"] = int(parsed["status"].text)
    return parsed


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.lists(usage_events(), min_size=1, max_size=3)), max_size=6)
)
def test_computed_properties_equal_the_oracle(bodies: list[tuple[bool, list[str]]]) -> None:
    core, oracle = Core(SECRET), Oracle()
    core.put_plan(PLAN, CHARGES)
    for code, (field, expression) in METRICS.items():
        core.put_metric(ORG, code, field, expression)
        core.put_metric(OTHER, code, field, "1")
        oracle.metrics[ORG, code] = field, expression
    core.put_subscription(b"u" * 16, ORG, "e", b"c" * 16, PLAN, -(10**9), None)
    window = (-(10**9), 2 * AT_US)
    assert core.open_window(b"u" * 16, *window)
    core = Core.restore(SECRET, core.snapshot())
    commits = []
    for single, texts in bodies:
        root = f'{{"event":{texts[0]}}}' if single else '{"events":[' + ",".join(texts) + "]}"
        answer = core.ingest(ORG, root.encode(), single, AT_US)
        expected = oracle.ingest(ORG, root.encode(), single, AT_US)
        assert (answer.status, without_ids(answer.body)) == (expected.status, expected.body)
        sealed = core.seal(AT_US, [])
        core.confirm()
        oracle.seal()
        oracle.confirm()
        commits.append(sealed)
    subscription = Subscription(ORG, "e", CHARGES, -(10**9), None)
    expected_usage = oracle.usage(subscription, *window)
    assert core.read_window(b"u" * 16, *window) == expected_usage
    # The log alone gives the same: the expressions are not asked again.
    for code in METRICS:
        core.put_metric(ORG, code, None, None)
    core.close_window(b"u" * 16, *window)
    if not core.open_window(b"u" * 16, *window):
        segments = [sealed.segment for sealed in commits if sealed.segment is not None]
        assert core.fold_window(b"u" * 16, *window, segments)
    assert core.read_window(b"u" * 16, *window) == expected_usage
    replayed = Core(SECRET)
    replayed.put_plan(PLAN, CHARGES)
    replayed.put_subscription(b"u" * 16, ORG, "e", b"c" * 16, PLAN, -(10**9), None)
    assert replayed.open_window(b"u" * 16, *window)
    scan, verifier = EventScan(ORG), ChainVerifier()
    for sealed in commits:
        if sealed.segment is not None:
            replayed.apply_segment(sealed.segment)
            verifier.feed_segment(sealed.segment)
            scan.feed(sealed.segment)
        verifier.feed_commit(AT_US, sealed.commit_hash)
    assert replayed.read_window(b"u" * 16, *window) == expected_usage
    _, page = scan.finish()
    # One transaction id occurs once here, so the order is the oracle's.
    assert without_ids(page) == oracle.search(ORG)


def test_the_event_as_sent_stays_in_the_log() -> None:
    core = Core(SECRET)
    core.put_metric(ORG, "gb", "gb", "event.properties.mb / 1000")
    sent = b'{"transaction_id":"t","external_subscription_id":"e","code":"gb","properties":{"gb":"mine","mb":350}}'
    answer = core.ingest(ORG, b'{"event":' + sent + b"}", True, AT_US)
    assert json.loads(answer.body)["event"]["properties"] == {"gb": "0.35", "mb": 350}
    segment = core.seal(AT_US, []).segment
    core.confirm()
    assert segment is not None
    for as_sent, gb in ((False, "0.35"), (True, "mine")):
        scan = EventScan(ORG, as_sent=as_sent)
        scan.feed(segment)
        _, page = scan.finish()
        [event] = json.loads(page)
        assert event["properties"] == {"gb": gb, "mb": 350}


def test_a_wrong_expression_is_refused() -> None:
    core = Core(SECRET)
    with pytest.raises(ValueError, match="byte 3"):
        core.put_metric(ORG, "gb", "gb", "1 +")
    with pytest.raises(ValueError, match="JSON object"):
        Expression("1").evaluate("c", 0, b"[]")
