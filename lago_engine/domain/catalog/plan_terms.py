"""The minimum commitment and the usage thresholds of a plan as a request gives them (plans.md §8, §9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from lago_engine.domain.catalog.entities import MinimumCommitment, UsageThreshold
from lago_engine.domain.catalog.references import NewIds, find_tax_ids
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.validation import INVALID, MANDATORY, Checker, Reader
from lago_engine.errors import ValidationFailed

_COMMITMENT: Final[Mapping[str, Reader]] = {
    "amount_cents": partial(Checker.integer, missing=MANDATORY, at_least=1),
    "invoice_display_name": Checker.text,
}
_THRESHOLDS: Final = "usage_thresholds"


def replace_commitment(
    state: OrganizationState,
    existing: MinimumCommitment | None,
    given: Mapping[str, Any] | None,
    *,
    new_ids: NewIds,
    now: datetime,
) -> MinimumCommitment | None:
    """The commitment after a request: `{}` takes it away, values make or change it, None leaves it."""
    if given is None:
        return existing
    if not given:
        return None
    checker = Checker(given)
    read = checker.read if existing is None else checker.read_present
    changes = read(_COMMITMENT) | {"updated_at": now}
    checker.raise_failures()
    if (tax_codes := checker.array("tax_codes")) is not None:
        changes["tax_ids"] = find_tax_ids(state, tax_codes)
    if existing is not None:
        return msgspec.structs.replace(existing, **changes)
    return MinimumCommitment(id=new_ids.take("minimum_commitment"), created_at=now, **changes)


def read_thresholds(
    items: Sequence[Any], *, new_ids: NewIds, now: datetime
) -> tuple[UsageThreshold, ...]:
    """The thresholds of a request, which replace all there were. Raises ValidationFailed."""
    given = [_read_threshold(item) for item in items]
    if any(fields["amount_cents"] is None for fields in given):
        raise ValidationFailed.of(_THRESHOLDS, "missing_amount_cents")
    if len({(each["amount_cents"], each["recurring"]) for each in given}) != len(given):
        raise ValidationFailed.of(_THRESHOLDS, "duplicated_values")
    if sum(fields["recurring"] for fields in given) > 1:
        raise ValidationFailed.of(_THRESHOLDS, "multiple_recurring_thresholds")
    if any(fields["amount_cents"] <= 0 for fields in given):
        raise ValidationFailed.of("amount_cents", "value_is_out_of_range")
    return tuple(
        UsageThreshold(id=new_ids.take("usage_threshold"), created_at=now, updated_at=now, **fields)
        for fields in given
    )


def _read_threshold(item: Any) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        raise ValidationFailed.of(_THRESHOLDS, INVALID)
    checker = Checker(item)
    fields = {
        "amount_cents": checker.integer("amount_cents"),
        "threshold_display_name": checker.text("threshold_display_name"),
        "recurring": bool(checker.boolean("recurring")),
    }
    checker.raise_failures()
    return fields
