"""What an event would be billed at once if it arrived now, with everything that was used so far (events.md §10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain.catalog.entities import BillableMetric
from lago_engine.domain.customer.decision import Decision, PendingUsage
from lago_engine.domain.customer.in_advance import event_fee, price_event, standalone, window_of
from lago_engine.domain.customer.links import link_of_period
from lago_engine.domain.customer.settings import fee_taxes
from lago_engine.domain.invoicing.model import StandaloneFee
from lago_engine.domain.invoicing.taxes import tax_fee
from lago_engine.domain.rating.instant_estimates import metered_number
from lago_engine.errors import NotFound

_NUMERIC: Final = frozenset({"sum_agg", "max_agg", "latest_agg"})


class UsageProbe(Protocol):
    """Tells what an event (a JSON object as sent) of an instant would change in a window, both ends inclusive.

    One record per charge that would bill it, in plan order; nothing is kept.
    """

    def __call__(
        self, subscription_id: UUID, window: tuple[datetime, datetime], event: bytes, at: datetime
    ) -> Sequence[PendingUsage]: ...


def estimated_properties(
    metric: BillableMetric, properties: Mapping[str, Any], transaction_id: str
) -> Mapping[str, Any]:
    """The properties of an event to estimate; without the one of its metric it is worth nothing, but has a fee.

    Raises ValidationFailed for a value that is no number where one is added up.
    """
    field = metric.field_name
    if field is None:
        return properties
    value = properties.get(field)
    if value is not None:
        if metric.aggregation_type in _NUMERIC:
            metered_number(value)
        return properties
    if metric.aggregation_type == "unique_count_agg":
        # Nothing bears the name of this transaction, so taking it away changes nothing.
        return {**properties, field: transaction_id, "operation_type": "remove"}
    return {**properties, field: 0}


def estimate_fees(
    decision: Decision, subscription_id: UUID, event: bytes, probe: UsageProbe
) -> Iterator[StandaloneFee]:
    """The taxed fees of charges in advance for an event of now, as if they stood alone; nothing is recorded.

    Raises NotFound when the subscription is not active any more.
    """
    state, organization = decision.state, decision.organization
    subscription = state.subscriptions[subscription_id]
    if subscription.status != "active" or subscription.started_at is None:
        raise NotFound("subscription")
    at = max(decision.now, subscription.started_at)
    link = link_of_period(
        subscription, state.profile, organization, at=at, reason="in_advance_charge"
    )
    window = window_of(link)
    for usage in probe(subscription_id, window, event, at):
        priced = price_event(decision, usage)
        if priced is None:
            continue
        taxes = fee_taxes(organization, state.profile, priced.plan, priced.charge)
        fee = replace(tax_fee(event_fee(decision, priced), taxes), amount_details={})
        if not priced.charge.invoiceable:
            fee = replace(fee, invoiceable=False)
        yield standalone(decision, fee, priced.charge, priced.plan, at=decision.now)
