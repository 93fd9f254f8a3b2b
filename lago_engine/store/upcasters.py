"""How old versions of events are lifted to the current ones; see `EventCodec`.

An entry is added together with the new version of an event and a recorded example of the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lago_engine.store.codec import Upcaster

UPCASTERS: Final[Mapping[str, Upcaster]] = {}
