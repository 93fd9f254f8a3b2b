"""Requests counted and timed per route, for `/metrics`.

Plain integers: the loop alone counts, and what a request pays is one look at the clock and three additions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_BOUND_TEXTS: Final = (*map(str, BOUNDS_S), "+Inf")


class RouteTraffic:
    """The requests of one method and path."""

    __slots__ = ("by_bound", "by_status", "duration_s")

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self.by_bound = [0] * len(_BOUND_TEXTS)
        self.duration_s = 0.0

    def add(self, status: int, duration_s: float) -> None:
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.by_bound[bisect_left(BOUNDS_S, duration_s)] += 1
        self.duration_s += duration_s


class Traffic(Collector):
    """All routes; one for an app. A route is named by its template, so that ids in paths make no series of their own."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], RouteTraffic] = {}

    def route(self, method: str, path_template: str) -> RouteTraffic:
        return self._routes.setdefault((method, path_template), RouteTraffic())

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "lago_http_requests", "Requests answered", labels=["method", "route", "status"]
        )
        durations = HistogramMetricFamily(
            "lago_http_request_duration_seconds",
            "Time from the head of a request to its answer",
            labels=["method", "route"],
        )
        for (method, path), seen in self._routes.items():
            for status, count in seen.by_status.items():
                requests.add_metric([method, path, str(status)], count)
            if seen.by_status:
                below = list(zip(_BOUND_TEXTS, accumulate(seen.by_bound), strict=True))
                durations.add_metric([method, path], below, seen.duration_s)
        yield requests
        yield durations
