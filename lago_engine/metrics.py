"""Prometheus figures of the engine, read when they are scraped; nothing is counted twice."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lago_engine.actors.partition import Partition
from lago_engine.payments.reactor import PaymentReactor


def engine_metrics(partition: Partition, reactor: PaymentReactor) -> CollectorRegistry:
    """A registry of one engine."""
    registry = CollectorRegistry()
    registry.register(_EngineCollector(partition, reactor))
    return registry


class _EngineCollector(Collector):
    def __init__(self, partition: Partition, reactor: PaymentReactor) -> None:
        self._partition = partition
        self._reactor = reactor

    def collect(self) -> Iterator[Metric]:
        stats = self._partition.meter.stats()
        yield CounterMetricFamily(
            "lago_usage_events", "Usage events stored, ever", value=stats.events
        )
        yield CounterMetricFamily(
            "lago_usage_duplicates",
            "Usage events refused as duplicates since start",
            value=stats.duplicates,
        )
        yield CounterMetricFamily(
            "lago_commits", "Commits, ever", value=self._partition.meter.commit_head[0]
        )
        repetitions = CounterMetricFamily(
            "lago_usage_repetitions",
            "Duplicates by what comparing them with their original found, since start",
            labels=["payload"],
        )
        repetitions.add_metric(["same"], stats.repetitions_same)
        repetitions.add_metric(["different"], stats.repetitions_different)
        repetitions.add_metric(["not_compared"], stats.repetitions_not_compared)
        yield repetitions
        yield CounterMetricFamily(
            "lago_usage_far_timestamps",
            "Usage events accepted since start with a timestamp beyond 2200, as milliseconds give",
            value=stats.far_timestamps,
        )
        refolds = self._partition.refolder.progress
        yield CounterMetricFamily(
            "lago_usage_window_refolds",
            "Usage windows folded from the log since start",
            value=refolds.folded,
        )
        gauges = {
            "lago_usage_windows_incomplete": (
                "Usage windows that wait for the log, or are being folded from it",
                refolds.waiting + refolds.folding,
            ),
            "lago_usage_staged_bytes": ("Usage waiting for its commit", stats.staged_bytes),
            "lago_fingerprints": ("Usage events that a repetition would meet", stats.fingerprints),
            "lago_fingerprint_runs": ("Files of the index of usage events", stats.fingerprint_runs),
            "lago_fingerprint_bytes": (
                "Memory of the index of usage events, about",
                stats.fingerprint_bytes,
            ),
            "lago_usage_windows": ("Usage windows kept folded", stats.windows),
            "lago_subscriptions": ("Subscriptions known to metering", stats.subscriptions),
            "lago_customers_resident": ("Customers in memory", len(self._partition.residents)),
            "lago_customers_due": ("Customers with something to come", len(self._partition.due)),
            "lago_reactor_cursor": ("Log position all reactions are done to", self._reactor.cursor),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value=value)
