"""How SQLite spells JSON conditions. Bodies are TEXT; ids are 32 hex digits, as the library's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from lago_engine.store.query import Direction, Scalar
from lago_engine.store.sql import Dialect, Fragment

PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch


class SQLiteDialect(Dialect):
    """SQLite 3.38 or later, with the function `fold` registered on the connection."""

    documents_parsed = "documents"
    body_read = "CAST(body AS BLOB)"
    body_write = "CAST(? AS TEXT)"

    def uuid(self, value: UUID) -> object:
        return value.hex

    def to_uuid(self, raw: Any) -> UUID:
        return _uuid_of(raw)

    def body(self, raw: Any) -> bytes:
        assert isinstance(raw, bytes)
        return raw

    def equal(self, names: list[str], values: Sequence[Scalar]) -> Fragment:
        return _equal("body", names, values)

    def compare(self, names: list[str], sign: str, value: str | int) -> Fragment:
        kind, kind_params = _kind("body", names)
        member, member_params = _member("body", names)
        types = "'text'" if isinstance(value, str) else "'integer', 'real'"
        sql = f"{kind} IN ({types}) AND {member} {sign} ?"
        return sql, [*kind_params, *member_params, value]

    def equal_ci(self, names: list[str], text: str) -> Fragment:
        kind, kind_params = _kind("body", names)
        member, member_params = _member("body", names)
        return f"{kind} = 'text' AND fold({member}) = fold(?)", [*kind_params, *member_params, text]

    def contains_ci(self, names: list[str], text: str) -> Fragment:
        kind, kind_params = _kind("body", names)
        member, member_params = _member("body", names)
        sql = f"{kind} = 'text' AND instr(fold({member}), fold(?)) > 0"
        return sql, [*kind_params, *member_params, text]

    def null(self, names: list[str]) -> Fragment:
        kind, params = _kind("body", names)
        return f"coalesce({kind}, 'null') = 'null'", params

    def has_item(self, names: list[str], item: Scalar | Mapping[str, Scalar]) -> Fragment:
        kind, kind_params = _kind("body", names)
        if isinstance(item, Mapping):
            conditions = [_equal("item.value", [name], [value]) for name, value in item.items()]
            # The planner keeps this order: a scalar item is no JSON that could be looked into.
            test = " AND ".join(f"({sql})" for sql, _ in conditions)
            test = f"CASE item.type WHEN 'object' THEN {test} ELSE 0 END"
            values = [value for _, params in conditions for value in params]
        else:
            test, values = _item_equal(item)
        sql = (
            f"coalesce({kind}, '') = 'array'"
            f" AND EXISTS (SELECT 1 FROM json_each(body, ?) AS item WHERE {test})"
        )
        return sql, [*kind_params, _plain_path(names), *values]

    def order(self, names: list[str], direction: Direction) -> Fragment:
        member, params = _member("body", names)
        nulls = "LAST" if direction == "asc" else "FIRST"
        return f"{member} {direction} NULLS {nulls}", params


@lru_cache(maxsize=65536)
def _uuid_of(raw: str) -> UUID:
    return UUID(raw)


def _equal(source: str, names: list[str], values: Sequence[Scalar]) -> Fragment:
    """The member of `source` is one of the values; JSON types never mix."""
    kind, kind_params = _kind(source, names)
    member, member_params = _member(source, names)
    terms, params = list[str](), list[object]()
    flags = ["true" if value else "false" for value in values if isinstance(value, bool)]
    if flags:
        terms.append(f"{kind} IN ({_marks(flags)})")
        params += [*kind_params, *flags]
    texts = [value for value in values if isinstance(value, str)]
    numbers = [v for v in values if not isinstance(v, bool | str)]
    for types, group in (("'text'", texts), ("'integer', 'real'", numbers)):
        if group:
            terms.append(f"({kind} IN ({types}) AND {member} IN ({_marks(group)}))")
            params += [*kind_params, *member_params, *group]
    return " OR ".join(terms), params


def _item_equal(item: Scalar) -> Fragment:
    if isinstance(item, bool):
        return "item.type = ?", ["true" if item else "false"]
    types = "'text'" if isinstance(item, str) else "'integer', 'real'"
    return f"item.type IN ({types}) AND item.atom = ?", [item]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _member(source: str, names: list[str]) -> Fragment:
    if PLAIN_NAME(names[-1]):
        return f"json_extract({source}, ?)", [_plain_path(names)]
    return f"(SELECT value {_odd_member(source)}", [_plain_path(names[:-1]), names[-1]]


def _kind(source: str, names: list[str]) -> Fragment:
    if PLAIN_NAME(names[-1]):
        return f"json_type({source}, ?)", [_plain_path(names)]
    return f"(SELECT type {_odd_member(source)}", [_plain_path(names[:-1]), names[-1]]


def _odd_member(source: str) -> str:
    # SQLite's path language cannot quote every name, so such a member is found by its name.
    return f"FROM json_each({source}, ?) WHERE key = ?)"


def _plain_path(names: list[str]) -> str:
    for name in names:
        if not PLAIN_NAME(name):
            raise ValueError(f"only the last name of a path may be as unusual as {name!r}")
    return ".".join(("$", *names))
