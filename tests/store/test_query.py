"""Filters and orders against an oracle that reads the documents in Python."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lago_engine.store import AnyOf, DocumentChange, Filter, Query, Store, json_path
from lago_engine.store.query import Direction, path_names

ORGANIZATIONS = map(UUID, (f"{n:032x}" for n in itertools.count(1)))
ABSENT = object()

texts = st.text(st.sampled_from("abAB%_é?\\'\" 1"), max_size=3)
numbers = st.integers(-3, 3) | st.sampled_from([2**53 + 1, -(2**63) + 1, 2**63 - 1])
scalars = texts | numbers | st.booleans()
names = st.sampled_from(["n", "t", "a b", 'q"q', "x.y", "é"])
items = scalars | st.fixed_dictionaries({"key": texts, "value": texts | numbers})
inner = st.dictionaries(names, scalars | st.none(), max_size=3)
values = scalars | st.none() | inner | st.lists(items, max_size=3)
documents = st.dictionaries(st.sampled_from(["n", "t", "inner", "list", "a.b"]), values, max_size=4)

plain_paths = st.sampled_from(["n", "t", "list", "inner.n", "inner.t", "missing.n"])
paths = plain_paths | names.map(lambda name: json_path("inner", name)) | st.just("a\\.b")
some_paths = paths | st.lists(paths, min_size=1, max_size=2).map(tuple)
wanted_items = scalars | st.dictionaries(
    st.sampled_from(["key", "value"]), texts | numbers, min_size=1
)
filters = st.one_of(
    st.builds(Filter, some_paths, st.just("eq"), scalars),
    st.builds(Filter, some_paths, st.just("in"), st.lists(scalars, max_size=3)),
    st.builds(Filter, some_paths, st.sampled_from(["gt", "ge", "lt", "le"]), texts | numbers),
    st.builds(Filter, some_paths, st.sampled_from(["eq_ci", "contains_ci"]), texts),
    st.builds(Filter, some_paths, st.sampled_from(["is_null", "not_null"])),
    st.builds(Filter, plain_paths, st.sampled_from(["has_item", "lacks_item"]), wanted_items),
)
orders = st.lists(
    st.tuples(
        st.sampled_from(["sort_key", "key", "n", "t", "inner.n", 'inner.q"q']),
        st.sampled_from(["asc", "desc"]),
    ),
    max_size=3,
)
queries = st.builds(
    Query,
    filters=st.lists(filters | st.builds(AnyOf, st.lists(filters, max_size=2).map(tuple)), max_size=2)
    .map(tuple),
    order=orders.map(tuple),
    offset=st.integers(0, 2),
    limit=st.integers(0, 4) | st.just(100),
)  # fmt: skip


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and left == right


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq_ci": lambda a, b: a.lower() == b.lower(),
    "contains_ci": lambda a, b: b.lower() in a.lower(),
}


def member(document: Any, path: str) -> Any:
    for name in path_names(path):
        if not isinstance(document, dict) or name not in document:
            return ABSENT
        document = document[name]
    return document


def has_item(value: Any, wanted: Any) -> bool:
    if not isinstance(value, list):
        return False
    if not isinstance(wanted, dict):
        return any(same(item, wanted) for item in value)
    return any(
        isinstance(item, dict) and all(same(item.get(k), v) for k, v in wanted.items())
        for item in value
    )


def holds(document: Any, item: Filter | AnyOf) -> bool:
    if isinstance(item, AnyOf):
        return any(holds(document, one) for one in item.filters)
    paths = (item.path,) if isinstance(item.path, str) else item.path
    return any(holds_at(member(document, path), item) for path in paths)


def holds_at(value: Any, item: Filter) -> bool:
    match item.op:
        case "eq":
            return same(value, item.value)
        case "in":
            return any(same(value, one) for one in item.value)
        case "is_null":
            return value is None or value is ABSENT
        case "not_null":
            return value is not None and value is not ABSENT
        case "has_item":
            return has_item(value, item.value)
        case "lacks_item":
            return not has_item(value, item.value)
    return type(value) is type(item.value) and COMPARE[item.op](value, item.value)


def rank(value: Any) -> tuple[int, Any]:
    if isinstance(value, int):
        return (0, int(value))
    return (1, value) if isinstance(value, str) else (2, 0)


def expected(rows: list[tuple[str, str, Any]], query: Query) -> tuple[list[str], int]:
    """Keys of the page, and the total; rows are (key, sort key, document)."""
    found = [row for row in rows if all(holds(row[2], item) for item in query.filters)]
    found.sort(key=lambda row: row[0])
    for field, direction in reversed(query.order):
        columns = {"key": 0, "sort_key": 1}
        found.sort(
            key=lambda row, f=field: (
                rank(row[columns[f]]) if f in columns else rank(member(row[2], f))
            ),
            reverse=direction == "desc",
        )
    page = found[query.offset : query.offset + query.limit]
    return [row[0] for row in page], len(found)


def scalar_where_ordered(document: dict[str, Any]) -> bool:
    """Orders are defined for scalars only."""
    ordered = (member(document, path) for path in ("n", "t", "inner.n", json_path("inner", 'q"q')))
    return not any(isinstance(value, dict | list) for value in ordered)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    bodies=st.lists(st.tuples(documents.filter(scalar_where_ordered), texts), max_size=6),
    query=queries,
)
def test_lists_agree_with_the_oracle(
    store: Store, bodies: list[tuple[dict[str, Any], str]], query: Query
) -> None:
    organization = next(ORGANIZATIONS)
    rows = [
        (f"k{n}", sort_key, {**document, "id": f"k{n}"})
        for n, (document, sort_key) in enumerate(bodies)
    ]
    store.write_documents(
        [
            DocumentChange(
                organization_id=organization,
                kind="thing",
                key=key,
                sort_key=sort_key,
                body=msgspec.json.encode(document),
            )
            for key, sort_key, document in rows
        ]
    )

    found, total = store.documents.list(organization, "thing", query)

    assert ([msgspec.json.decode(body)["id"] for body in found], total) == expected(rows, query)
    assert store.documents.count(organization, "thing", query) == total


STORED: list[Any] = [
    ABSENT, None, True, False, -1, 0, 1, 2, 2**53 + 1, "", "1", "a", "A", "b", "ab", "É", "é", "true",
    "null", "[1]", "%", "_", [], [1], ["1"], ["a", "b"], [True], [None], {}, {"a": 1}, [{"key": "a"}],
    [{"key": "a", "value": "1"}], [{"key": "a", "value": 1}, {"key": "b", "value": "1"}], [["a"]],
]  # fmt: skip
WANTED: list[tuple[tuple[str, ...], list[Any]]] = [
    (("eq",), [True, False, -1, 0, 1, 2**53 + 1, "", "1", "a", "A", "é", "true", "null", "[1]", "%"]),
    (("in",), [(), (1, "a"), (True, "1"), (False, 0), ("", "null"), (2**53,)]),
    (("gt", "ge", "lt", "le"), [-1, 0, 1, 2**53, "", "1", "a", "A", "b", "é", "%"]),
    (("eq_ci", "contains_ci"), ["", "1", "a", "B", "AB", "É", "%", "_"]),
    (("is_null", "not_null"), [None]),
]  # fmt: skip
ITEMS = [1, "1", "a", True, {"key": "a"}, {"key": "a", "value": "1"}, {"key": "a", "value": 1}]


@pytest.mark.parametrize("path", ["v", json_path("outer", 'q" v')])
def test_every_operator_on_every_kind_of_value(store: Store, path: str) -> None:
    organization = next(ORGANIZATIONS)
    stored = [nested(path_names(path), value) for value in STORED]
    store.write_documents(
        [
            DocumentChange(
                organization_id=organization,
                kind="thing",
                key=f"{n:02}",
                body=msgspec.json.encode({**document, "id": n}),
            )
            for n, document in enumerate(stored)
        ]
    )
    questions = [(op, value) for ops, wanted in WANTED for op in ops for value in wanted]
    if path == "v":  # The path to an array is made of plain names.
        questions += [(op, item) for op in ("has_item", "lacks_item") for item in ITEMS]
    for op, value in questions:
        item = Filter(path, op, value)  # type: ignore[arg-type]
        bodies, _ = store.documents.list(organization, "thing", Query(filters=(item,)))
        found = [msgspec.json.decode(body)["id"] for body in bodies]
        assert found == [n for n, one in enumerate(stored) if holds(one, item)], item


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_every_scalar_has_its_place_in_an_order(store: Store, direction: Direction) -> None:
    organization = next(ORGANIZATIONS)
    scalars = [value for value in STORED if not isinstance(value, list | dict)]
    rows = [(f"{n:02}", "", nested(["v"], value)) for n, value in enumerate(scalars)]
    store.write_documents(
        [
            DocumentChange(
                organization_id=organization,
                kind="thing",
                key=key,
                body=msgspec.json.encode({**document, "id": key}),
            )
            for key, _, document in rows
        ]
    )
    query = Query(order=(("v", direction),))
    bodies, _ = store.documents.list(organization, "thing", query)
    assert [msgspec.json.decode(body)["id"] for body in bodies] == expected(rows, query)[0]


def nested(names: list[str], value: Any) -> Any:
    for name in reversed(names):
        value = {} if value is ABSENT else {name: value}
    return value


def test_a_body_with_nul_does_not_break_the_filters_of_others(store: Store) -> None:
    organization = next(ORGANIZATIONS)
    bodies = [rb'{"n":1,"t":"a\u0000b\\u0000\\\u0000"}', b'{"n":1,"t":"ab"}']
    store.write_documents(
        [
            DocumentChange(organization_id=organization, kind="thing", key=f"{n}", body=body)
            for n, body in enumerate(bodies)
        ]
    )
    query = Query(filters=(Filter("n", "eq", 1),))
    assert store.documents.list(organization, "thing", query) == (bodies, 2)
    query = Query(filters=(Filter("t", "eq", "ab"),))
    assert store.documents.list(organization, "thing", query)[1] >= 1


@pytest.mark.parametrize(
    "query",
    [
        Query(filters=(Filter("n", "eq", 2**63),)),
        Query(filters=(Filter("n", "like", "x"),)),  # type: ignore[arg-type]
        Query(order=(("n", "asc; DROP TABLE documents"),)),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_asked_is_refused(store: Store, query: Query) -> None:
    with pytest.raises(ValueError, match=r"64 bits|operator|direction"):
        store.documents.list(next(ORGANIZATIONS), "thing", query)


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_paths_are_reversible(parts: list[str]) -> None:
    assert path_names(json_path(*parts)) == parts
