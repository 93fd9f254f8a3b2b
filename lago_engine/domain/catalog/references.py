"""How catalog decisions name new items and resolve the items a request refers to."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from lago_engine.domain import ids
from lago_engine.domain.catalog.entities import AddOn, BillableMetric, Plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.errors import NotFound


class NewIds:
    """Ids of the items one decision creates, in the order of creation; the same on every replay."""

    def __init__(self, organization_id: UUID, items_count: int) -> None:
        self._organization_id = organization_id
        self._next = items_count

    @classmethod
    def after(cls, state: OrganizationState) -> NewIds:
        return cls(state.organization.id, state.items_count)

    def take(self, kind: str) -> UUID:
        taken = ids.derive(self._organization_id, kind, self._next)
        self._next += 1
        return taken


def uuid_or_none(value: Any) -> UUID | None:
    """The UUID a request wrote, None for anything malformed (which looks up as not found)."""
    if not isinstance(value, str):
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def find_metric(state: OrganizationState, metric_id: Any) -> BillableMetric | None:
    """The live metric with the id a request wrote."""
    parsed = uuid_or_none(metric_id)
    metric = None if parsed is None else state.metrics_by_id.get(parsed)
    # The code of a deleted metric may name another one by now.
    return metric if metric is not None and state.metrics.get(metric.code) == metric else None


def find_add_on(state: OrganizationState, item: Mapping[str, Any]) -> AddOn | None:
    """The live add-on that an item names by `add_on_id` or by `add_on_code`."""
    add_on_id = uuid_or_none(item.get("add_on_id"))
    if add_on_id is not None:
        return next((each for each in state.add_ons.values() if each.id == add_on_id), None)
    code = item.get("add_on_code")
    return state.add_ons.get(code) if isinstance(code, str) else None


def live_plan(state: OrganizationState, code: str) -> Plan:
    """The plan with this code. Raises NotFound."""
    if code not in state.plans:
        raise NotFound("plan")
    return state.plans[code]


def free_code(code: str, taken: Collection[str]) -> str:
    """The code, numbered when it is taken: `api_calls`, `api_calls_2` (plans.md §3.3)."""
    if code not in taken:
        return code
    numbered = re.compile(re.escape(code) + "_([0-9]{1,18})")
    numbers = [int(match[1]) for each in taken if (match := numbered.fullmatch(each))]
    return f"{code}_{max(numbers, default=1) + 1}"


def find_tax_ids(state: OrganizationState, codes: Sequence[Any]) -> tuple[UUID, ...]:
    """Ids of the taxes with `codes`, each once, in that order. Raises NotFound `tax_not_found`."""
    found: dict[UUID, None] = {}
    for code in codes:
        tax = state.taxes.get(code) if isinstance(code, str) else None
        if tax is None:
            raise NotFound("tax")
        found[tax.id] = None
    return tuple(found)
