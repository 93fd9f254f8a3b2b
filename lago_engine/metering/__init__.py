"""Usage metering: the typed face of the Rust core, and the only importer of `lago_engine._core`.

`Meter` takes usage events in, prepares their commits and keeps the running totals of usage windows;
`UsageFold` reads usage from the log under any plan; `LogVerifier` recomputes the hash chains of a stored log; `scan_events` searches stored usage events,
`usage_errors` finds those that will not be billed as meant.
"""

from lago_engine._core import BUILD_PROFILE, USAGE_TOPIC, Ingest, Refold, RepetitionCheck, Sealed
from lago_engine.metering.expressions import (
    ExpressionResult,
    evaluate_expression,
    expression_problem,
)
from lago_engine.metering.log_fold import UsageFold
from lago_engine.metering.meter import Difference, Meter, MeterStats
from lago_engine.metering.reading import (
    HourErrors,
    LogVerifier,
    MetricRule,
    scan_events,
    usage_errors,
)
from lago_engine.metering.registry import (
    BucketUsage,
    MeteredCharge,
    MeteredFilter,
    MeteredSubscription,
    PendingUsage,
    Period,
    Place,
    UsageChange,
    Window,
)

__all__ = [
    "BUILD_PROFILE",
    "USAGE_TOPIC",
    "BucketUsage",
    "Difference",
    "ExpressionResult",
    "HourErrors",
    "Ingest",
    "LogVerifier",
    "Meter",
    "MeterStats",
    "MeteredCharge",
    "MeteredFilter",
    "MeteredSubscription",
    "MetricRule",
    "PendingUsage",
    "Period",
    "Place",
    "Refold",
    "RepetitionCheck",
    "Sealed",
    "UsageChange",
    "UsageFold",
    "Window",
    "evaluate_expression",
    "expression_problem",
    "scan_events",
    "usage_errors",
]
