"""Calls into plugins, which are somebody else's code: in time, and never an exception that nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import structlog

from lago_engine.errors import LagoError
from lago_engine.payments.interface import Unknown

log = structlog.get_logger(__name__)
T = TypeVar("T")


async def guarded(call: Awaitable[T], deadline_s: float) -> T | Unknown:
    """A provider's answer in time, or Unknown: whatever happened, it may have been applied."""
    try:
        async with asyncio.timeout(deadline_s):
            return await call
    except TimeoutError:
        return Unknown(reason="the provider did not answer in time")
    except LagoError:
        raise
    except Exception as error:  # A plugin is somebody else's code.
        log.exception("provider_failed")
        return Unknown(reason=repr(error))
