"""`billable_metric` documents (metrics.md §1.1)."""

from __future__ import annotations

from lago_engine.domain.catalog.entities import BillableMetric
from lago_engine.domain.events import (
    BillableMetricCreated,
    BillableMetricDeleted,
    BillableMetricUpdated,
    DomainEvent,
)
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.wire import Members, encode, instant, sort_key


class BillableMetricProjection(Projection):
    """Live metrics; key: code."""

    name = "billable_metrics"
    kinds = ("billable_metric",)
    handles = (BillableMetricCreated, BillableMetricUpdated, BillableMetricDeleted)

    def apply(self, event: DomainEvent, context: Context) -> None:
        assert isinstance(
            event, BillableMetricCreated | BillableMetricUpdated | BillableMetricDeleted
        )
        metric = event.metric
        if isinstance(event, BillableMetricDeleted):
            context.delete("billable_metric", metric.code)
            return
        if isinstance(event, BillableMetricUpdated) and event.previous_code != metric.code:
            context.delete("billable_metric", event.previous_code)
        body = encode(metric_object(metric))
        context.put("billable_metric", metric.code, body, sort_key=sort_key(metric.created_at))


def metric_object(metric: BillableMetric) -> Members:
    """A metric. The counts are deprecated and always 0."""
    return {
        "lago_id": metric.id,
        "name": metric.name,
        "code": metric.code,
        "description": metric.description,
        "aggregation_type": metric.aggregation_type,
        "weighted_interval": metric.weighted_interval,
        "recurring": metric.recurring,
        "rounding_function": metric.rounding_function,
        "rounding_precision": metric.rounding_precision,
        "created_at": instant(metric.created_at),
        "field_name": metric.field_name,
        "expression": metric.expression,
        "active_subscriptions_count": 0,
        "draft_invoices_count": 0,
        "plans_count": 0,
        "filters": [{"key": each.key, "values": each.values} for each in metric.filters],
    }
