"""What somebody wants to see of a running period's usage: which charges, which events, in which groups (metrics.md §11.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.entities import BillableMetric, Charge, Plan
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.decision import BucketUsage
from lago_engine.domain.customer.settings import plan_of, subject_of
from lago_engine.domain.customer.state import CustomerState, Subscription
from lago_engine.domain.customer.windows import running_windows
from lago_engine.domain.periods import PeriodSubject, Windows, charges_days
from lago_engine.domain.rating.grouping import spelled_out
from lago_engine.errors import NotAllowed, NotFound

CHARGE_FILTERS: Final = ("charge_id", "charge_code", "billable_metric_code")
"""Query parameters that restrict the charges; the first one present wins."""

Used = Mapping[UUID, Sequence[BucketUsage]]
"""Aggregated usage by charge."""


class UsageQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a request for current usage.

    charge_filter: one of CHARGE_FILTERS and its value. only: of each property, the texts an event must have one
    of; these keys leave the grouping. presentation: the presentation keys to keep, None for all of them. full: from
    the subscription's start on.
    """

    apply_taxes: bool = True
    charge_filter: Mapping[str, str] | None = None
    only: Mapping[str, tuple[str, ...]] = {}
    skip_grouping: bool = False
    presentation: tuple[str, ...] | None = None
    full: bool = False


class AskedUsage(msgspec.Struct, frozen=True, kw_only=True):
    """A question about one subscription, as of an instant.

    charges: those that were asked for, with the grouping that was asked for, in the order to show them in.
    start, end: both inclusive. days: those of the whole period.
    """

    state: CustomerState
    organization: OrganizationState
    subscription: Subscription
    plan: Plan
    subject: PeriodSubject
    windows: Windows
    question: UsageQuestion
    charges: tuple[tuple[Charge, BillableMetric], ...]
    start: datetime
    end: datetime
    days: int
    now: datetime

    @property
    def timezone(self) -> str | None:
        """By whose days prorated charges are paid; None when none of them was asked for."""
        prorated = any(charge.prorated for charge, _ in self.charges)
        return self.subject.timezone if prorated else None


def ask_usage(
    state: CustomerState,
    organization: OrganizationState,
    subscription: Subscription,
    question: UsageQuestion,
    *,
    now: datetime,
) -> AskedUsage:
    """Raises NotFound("charge") when a charge filter matches nothing, NotAllowed for a refused full usage."""
    plan = plan_of(subscription, organization)
    subject = subject_of(subscription, state.profile, organization)
    at = max(now, subject.start)
    windows = running_windows(subject, subscription, at)
    start, end = windows.charges_from, windows.charges_to
    assert start is not None
    assert end is not None
    charges = _asked_charges(plan, organization, question)
    if question.full:
        _check_full(question, charges)
        start = subject.start
    return AskedUsage(
        state=state,
        organization=organization,
        subscription=subscription,
        plan=plan,
        subject=subject,
        windows=windows,
        question=question,
        charges=tuple(
            (_regrouped(spelled_out(charge), question), metric) for charge, metric in charges
        ),
        start=start,
        end=end,
        days=charges_days(subject, end),
        now=now,
    )


def _asked_charges(
    plan: Plan, organization: OrganizationState, question: UsageQuestion
) -> list[tuple[Charge, BillableMetric]]:
    """By metric name, or in plan order when they are filtered."""
    pairs = [(c, organization.metrics_by_id[c.billable_metric_id]) for c in plan.charges]
    if not question.charge_filter:
        return sorted(pairs, key=lambda pair: pair[1].name.lower())
    pairs = [pair for pair in pairs if _matches(*pair, question.charge_filter)]
    if not pairs:
        raise NotFound("charge")
    return pairs


def _matches(charge: Charge, metric: BillableMetric, wanted: Mapping[str, str]) -> bool:
    for name, value in zip(CHARGE_FILTERS, (str(charge.id), charge.code, metric.code), strict=True):
        if name in wanted:
            return wanted[name] == value
    return True


def _check_full(question: UsageQuestion, charges: Sequence[tuple[Charge, BillableMetric]]) -> None:
    restricted = question.charge_filter or question.only
    if not restricted or any(charge.prorated for charge, _ in charges):
        raise NotAllowed("full_usage_not_allowed")


# --- grouping ----------------------------------------------------------------------------------


def _regrouped(charge: Charge, question: UsageQuestion) -> Charge:
    """The charge with the groups and breakdowns that were asked for."""
    return msgspec.structs.replace(
        charge,
        properties=_regrouped_properties(charge.properties, question),
        filters=tuple(
            msgspec.structs.replace(
                filter_, properties=_regrouped_properties(filter_.properties, question)
            )
            for filter_ in charge.filters
        ),
    )


def _regrouped_properties(
    properties: Mapping[str, Any], question: UsageQuestion
) -> Mapping[str, Any]:
    changed = dict(properties)
    keys = properties.get("pricing_group_keys")
    if keys:
        changed["pricing_group_keys"] = _kept_keys(keys, question)
    shown = properties.get("presentation_group_keys")
    if shown and question.presentation is not None:
        changed["presentation_group_keys"] = [
            key for key in shown if key["value"] in question.presentation
        ]
    return changed


def _kept_keys(keys: Sequence[str], question: UsageQuestion) -> list[str]:
    return [] if question.skip_grouping else [key for key in keys if key not in question.only]


# --- from the usage that is at hand ------------------------------------------------------------


def narrowed(asked: AskedUsage, used: Used) -> Used | None:
    """The answer from the totals of the whole period, in the groups of the plan; None if they do not tell.

    They do when every bucket is grouped by each filtered property and one text of it is wanted: then one group of
    before is one group of the answer.
    """
    question = asked.question
    if question.full or any(len(texts) != 1 or not texts[0] for texts in question.only.values()):
        return None
    before = {charge.id: spelled_out(charge) for charge in asked.plan.charges}
    answer: dict[UUID, Sequence[BucketUsage]] = {}
    for charge, _ in asked.charges:
        buckets = _narrowed(before[charge.id], charge, used[charge.id], question)
        if buckets is None:
            return None
        answer[charge.id] = buckets
    return answer


def _narrowed(
    before: Charge, after: Charge, used: Sequence[BucketUsage], question: UsageQuestion
) -> Sequence[BucketUsage] | None:
    if before == after and not question.only:
        return used
    parts = [
        _of_bucket(old, new, [b for b in used if b.filter_id == filter_id], question)
        for old, new, filter_id in _bucket_properties(before, after)
    ]
    if any(part is None for part in parts):
        return None
    return [bucket for part in parts if part is not None for bucket in part]


def _bucket_properties(
    before: Charge, after: Charge
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], UUID | None]]:
    for old, new in zip(before.filters, after.filters, strict=True):
        yield old.properties, new.properties, old.id
    yield before.properties, after.properties, None


def _of_bucket(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    used: Sequence[BucketUsage],
    question: UsageQuestion,
) -> Sequence[BucketUsage] | None:
    keys = before.get("pricing_group_keys") or ()
    kept = after.get("pricing_group_keys") or ()
    same_breakdown = before.get("presentation_group_keys") == after.get("presentation_group_keys")
    selected = len(keys) - len(kept) == len(question.only)
    if not same_breakdown or not selected or not question.only.keys() <= set(keys):
        return None
    found = [
        msgspec.structs.replace(
            bucket,
            group=tuple(text for key, text in zip(keys, bucket.group, strict=True) if key in kept),
        )
        for bucket in used
        if all(
            key not in question.only or text in question.only[key]
            for key, text in zip(keys, bucket.group, strict=True)
        )
    ]
    return found or None  # What nothing looks like depends on the charge.
