"""What a list of documents selects: filters on members of the body, order and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

Scalar = str | int | bool
"""What a filter compares with; a string meets only JSON strings, an int numbers, a bool booleans."""

Op = Literal[
    "eq", "in", "gt", "ge", "lt", "le", "eq_ci", "contains_ci",
    "is_null", "not_null", "has_item", "lacks_item",
]  # fmt: skip

Direction = Literal["asc", "desc"]

INT_MAX = 2**63 - 1
"""Ints of a filter lie within ±INT_MAX, which holds any amount in minor units."""


class Filter(msgspec.Struct, frozen=True):
    """One condition on a member of the body.

    `path` names nested object members with dots ("customer.external_id"; `json_path` makes one from
    names that hold dots); of several paths one has to match. `in` takes a sequence of scalars.
    `is_null` also holds where the member is absent; every other condition fails there. `has_item`
    and `lacks_item` ask whether an array holds a scalar, or an object with the given members;
    an absent array lacks every item. `*_ci` ignore case as the database folds it.
    """

    path: str | tuple[str, ...]
    op: Op
    value: Scalar | Sequence[Scalar] | Mapping[str, Scalar] | None = None


class AnyOf(msgspec.Struct, frozen=True):
    """Holds where one of the filters does."""

    filters: tuple[Filter, ...]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a list selects. All `filters` must hold.

    `order` names "sort_key", "key", "position" (order of first insertion) or a path of the body,
    each with a direction. Ascending means: numbers (false = 0, true = 1), then text by code point,
    then null; descending is the exact reverse. The ascending key decides what is otherwise equal.
    """

    filters: tuple[Filter | AnyOf, ...] = ()
    parent: str | None = None
    order: tuple[tuple[str, Direction], ...] = (("sort_key", "desc"), ("key", "asc"))
    offset: int = 0
    limit: int = 100


def json_path(*names: str) -> str:
    """The path through members of these names, whatever characters they hold."""
    return ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in names)


def path_names(path: str) -> list[str]:
    """The member names of a path; the inverse of `json_path`."""
    if "\\" not in path:
        return path.split(".")
    names, name, escaped = [], "", False
    for char in path:
        if escaped or char not in "\\.":
            name, escaped = name + char, False
        elif char == "\\":
            escaped = True
        else:
            names.append(name)
            name = ""
    return [*names, name]
