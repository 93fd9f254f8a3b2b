"""Parts of a plan that a request lists as a whole: its charges, its fixed charges (plans.md §4.2)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from uuid import UUID

from lago_engine.domain.catalog.references import uuid_or_none
from lago_engine.domain.validation import ALREADY_EXISTS, Checker
from lago_engine.errors import ValidationFailed


class Part(Protocol):
    """What is found by its id and named by a code, unique on its plan."""

    @property
    def id(self) -> UUID: ...
    @property
    def code(self) -> str: ...


P = TypeVar("P", bound=Part)
Item = Mapping[str, Any]


def replace_listed(
    existing: Sequence[P],
    items: Sequence[Item],
    *,
    field: str,
    create: Callable[[Item, Collection[str]], P],
    change: Callable[[P, Item, Collection[str]], P],
) -> tuple[P, ...]:
    """The parts after `items`, in their order; `field` is the name of the list.

    An item with the id of an existing part changes it, another one creates a part; existing ones that no item
    names are gone. Both functions get the codes that are taken.
    """
    by_id = {part.id: part for part in existing}
    matches = [by_id.get(key) if (key := uuid_or_none(item.get("id"))) else None for item in items]
    kept = [part for part in matches if part is not None]
    if len({part.id for part in kept}) != len(kept):
        raise ValidationFailed.of(field, "value_is_duplicated")
    codes = {part.code for part in kept}
    result = []
    for item, match in zip(items, matches, strict=True):
        if match is None:
            part = create(item, codes)
        else:
            codes.discard(match.code)
            part = change(match, item, codes)
        codes.add(part.code)
        result.append(part)
    return tuple(result)


def unique_code(checker: Checker, code: str, codes: Collection[str]) -> str:
    """The code, reported when another part has it."""
    if code in codes:
        checker.fail("code", ALREADY_EXISTS)
    return code
