"""What the benchmarks measure on: an organization with customers, each with one subscription and its usage.

`python -m benchmarks.world DIRECTORY CUSTOMERS` makes the data directory of a server. Everything goes through the
engine as requests would, without HTTP.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from itertools import batched_compat as batched
from pathlib import Path
from typing import Any, Final
from uuid import UUID
