"""Usage read from the log under any plan: several selections of events, one pass over the segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from lago_engine.metering.registry import (
    BucketUsage,
    MeteredCharge,
    Period,
    charge_argument,
    keep_arguments,
    usage_of,
)

if TYPE_CHECKING:
    from lago_engine._core import Core, LogFold


class UsageFold:
    """Made by `Meter.usage_fold`. May go on over time: segments are fed in ascending order."""

    def __init__(self, core: Core, fold: LogFold) -> None:
        self._core = core
        self._fold = fold

    def plan(self, charges: Sequence[MeteredCharge]) -> int:
        """A plan to fold under; its number is for `select`."""
        return self._fold.plan(
            [charge_argument(charge) for charge in charges], keep_arguments(charges)
        )

    def select(
        self,
        organization_id: UUID,
        external_id: str,
        from_us: int,
        to_us: int,
        plan: int,
        *,
        only: Mapping[str, Sequence[str]] = {},
    ) -> int:
        """Events of one external subscription id in [from_us, to_us), bounds cut to the millisecond.

        Recurring charges take what was before `from_us`, too. only: texts an event's property must be one of, for
        each name. The number is for `read`. All selections come before the first segment.
        """
        return self._fold.add(
            self._core, organization_id.bytes, external_id, from_us, to_us, plan, list(only.items())
        )

    def read_streams(self, streams: Sequence[UUID]) -> None:
        """Entries of these streams are read from now on, too."""
        self._fold.add_streams([stream.bytes for stream in streams])

    def feed(self, segments: Sequence[bytes], *, parallel: bool = False) -> None:
        """Fold newer segments; the GIL is released meanwhile. parallel: on two threads."""
        self._fold.feed(segments, parallel)

    @property
    def fed(self) -> int:
        """Number of the newest segment that was fed; 0: none yet."""
        return self._fold.fed

    def read(
        self,
        selection: int,
        period: Period | None = None,
        day_starts_us: Sequence[int] | None = None,
    ) -> list[BucketUsage]:
        """Totals so far, as `Meter.read_window` gives them."""
        return [usage_of(*row) for row in self._fold.read(selection, period, day_starts_us)]
