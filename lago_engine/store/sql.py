"""The seam between shared SQL and one database: how it spells JSON, ids and bodies.

Shared SQL marks parameters with `?`; every value is a parameter, names of members included.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from lago_engine.store.query import INT_MAX, AnyOf, Direction, Filter, Query, Scalar, path_names

Fragment = tuple[str, list[object]]
"""A piece of SQL and its parameters in order."""

COLUMNS = ("sort_key", "key", "position")
COMPARISONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


class Database(Protocol):
    """What reads and small writes need of a store; safe to call from any thread."""

    dialect: Dialect

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Sequence[Any]]:
        """The rows of a read. Raises `UnavailableError`."""

    def write(self, sql: str, rows: Sequence[Sequence[object]]) -> int:
        """Run a statement once per row of parameters, in one durable transaction.

        Gives the number of table rows touched. Raises `UnavailableError`; then it may be repeated.
        """


class Dialect(ABC):
    """How one database spells what differs. `body_read` and `body_write` carry bodies as bytes."""

    documents_parsed = "documents"
    """What to select from when a condition or an order looks into the body."""
    body_read: str
    body_write: str

    @abstractmethod
    def uuid(self, value: UUID) -> object:
        """The parameter for an id."""

    @abstractmethod
    def to_uuid(self, raw: Any) -> UUID:
        """The id in a row."""

    @abstractmethod
    def body(self, raw: Any) -> bytes:
        """The body in a row selected with `body_read`."""

    @abstractmethod
    def equal(self, names: list[str], values: Sequence[Scalar]) -> Fragment:
        """The member is one of `values`, which are not empty."""

    @abstractmethod
    def compare(self, names: list[str], sign: str, value: str | int) -> Fragment:
        """The member is of the type of `value` and stands in this relation to it."""

    @abstractmethod
    def equal_ci(self, names: list[str], text: str) -> Fragment:
        """The member is this text but for case."""

    @abstractmethod
    def contains_ci(self, names: list[str], text: str) -> Fragment:
        """The member holds this text, case aside."""

    @abstractmethod
    def null(self, names: list[str]) -> Fragment:
        """The member is null or absent; never unknown itself."""

    @abstractmethod
    def has_item(self, names: list[str], item: Scalar | Mapping[str, Scalar]) -> Fragment:
        """The member is an array with this item; never unknown itself."""

    @abstractmethod
    def order(self, names: list[str], direction: Direction) -> Fragment:
        """Order terms by a member."""


def where_sql(dialect: Dialect, filters: Iterable[Filter | AnyOf]) -> Fragment:
    """All conditions, each introduced by AND; empty for no filter."""
    sql, params = "", list[object]()
    for item in filters:
        part, values = _any_of(dialect, item.filters if isinstance(item, AnyOf) else (item,))
        sql += f" AND ({part})"
        params += values
    return sql, params


def order_sql(dialect: Dialect, query: Query) -> Fragment:
    """The terms of ORDER BY, made total by the key."""
    terms, params = list[str](), list[object]()
    for field, direction in query.order:
        if direction not in ("asc", "desc"):
            raise ValueError(f"unknown direction {direction!r}")
        if field in COLUMNS:
            terms.append(f"{field} {direction}")
        else:
            term, values = dialect.order(path_names(field), direction)
            terms.append(term)
            params += values
    if not any(field in ("key", "position") for field, _ in query.order):
        terms.append("key asc")
    return ", ".join(terms), params


def reads_body(query: Query) -> bool:
    """Whether the query looks into bodies beyond returning them."""
    return bool(query.filters) or any(field not in COLUMNS for field, _ in query.order)


def _any_of(dialect: Dialect, filters: Sequence[Filter]) -> Fragment:
    parts = [
        _condition(dialect, path_names(path), item)
        for item in filters
        for path in ((item.path,) if isinstance(item.path, str) else item.path)
    ]
    if not parts:
        return "1 = 0", []
    return " OR ".join(sql for sql, _ in parts), [value for _, values in parts for value in values]


def _condition(dialect: Dialect, names: list[str], item: Filter) -> Fragment:
    value = item.value
    match item.op:
        case "eq":
            return dialect.equal(names, [_scalar(value)])
        case "in":
            assert isinstance(value, Sequence)
            assert not isinstance(value, str)
            return dialect.equal(names, [_scalar(v) for v in value]) if value else ("1 = 0", [])
        case "gt" | "ge" | "lt" | "le":
            assert isinstance(value, str | int)
            assert not isinstance(value, bool)
            return dialect.compare(names, COMPARISONS[item.op], _bounded(value))
        case "eq_ci" | "contains_ci":
            assert isinstance(value, str)
            test = dialect.equal_ci if item.op == "eq_ci" else dialect.contains_ci
            return test(names, value)
        case "is_null" | "not_null":
            return _negated(dialect.null(names), item.op == "not_null")
        case "has_item" | "lacks_item":
            wanted = value if isinstance(value, Mapping) else _scalar(value)
            return _negated(dialect.has_item(names, wanted), item.op == "lacks_item")
    raise ValueError(f"unknown operator {item.op!r}")


def _negated(fragment: Fragment, negate: bool) -> Fragment:
    return (f"NOT ({fragment[0]})", fragment[1]) if negate else fragment


def _scalar(value: object) -> Scalar:
    assert isinstance(value, str | int)
    return _bounded(value)


def _bounded(value: str | int) -> str | int:
    if isinstance(value, int) and abs(value) > INT_MAX:
        raise ValueError("a number in a filter exceeds 64 bits")
    return value
