"""Deciding one tick's commands, each on states that already show the ones before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from lago_engine.actors.batches import Batches
from lago_engine.actors.directory import Directory
from lago_engine.actors.mailbox import Command, Waiting
from lago_engine.actors.open_windows import OpenWindows
from lago_engine.actors.tentative import Tentative
from lago_engine.actors.usage import UsageWindows, WindowNotReady
from lago_engine.clock import Clock
from lago_engine.domain.catalog.decide import decide_organization
from lago_engine.domain.commands import (
    AdvanceTime,
    CreateSubscription,
    CustomerCommand,
    FinalizeInvoice,
    LeavePlan,
    OrganizationCommand,
    TerminateSubscription,
)
from lago_engine.domain.customer.decide import decide_customer
from lago_engine.domain.customer.decision import Recorded
from lago_engine.domain.customer.windows import UsageWindow
from lago_engine.errors import DomainError, NotFound, UnavailableError
from lago_engine.metering import Meter

log = structlog.get_logger(__name__)

DECIDING_S: Final = 0.01
"""After so long deciding, what is decided is committed first: usage waits for that commit."""

CLOSING = (AdvanceTime, CreateSubscription, FinalizeInvoice, LeavePlan, TerminateSubscription)
"""Commands after which usage of a window comes too late to be billed."""


class Blocking(Protocol):
    """Runs a blocking read off the loop."""

    def __call__(
        self, function: Callable[[UsageWindow], None], window: UsageWindow, /
    ) -> Awaitable[None]: ...


class Decider:
    """Turns commands into facts of a tick. The customers of the commands are in memory."""

    def __init__(
        self,
        *,
        meter: Meter,
        clock: Clock,
        directory: Directory,
        usage: UsageWindows,
        windows: OpenWindows,
        batches: Batches,
        read: Blocking,
    ) -> None:
        self._meter = meter
        self._clock = clock
        self._directory = directory
        self._usage = usage
        self._windows = windows
        self._batches = batches
        self._read = read

    async def decide(
        self, waiting: Sequence[Waiting], tentative: Tentative
    ) -> tuple[list[Waiting], Sequence[Waiting]]:
        """The commands that were accepted, and those that must wait for the commit of this tick.

        Those that were refused have their answer already.
        """
        accepted: list[Waiting] = []
        time = asyncio.get_running_loop().time
        until = time() + DECIDING_S
        for number, item in enumerate(waiting):
            late = number > 0 and time() > until
            if late or tentative.must_commit_before(item.command) or self._usage_came_before(item):
                return accepted, waiting[number:]
            try:
                item.recorded = await self._decide_one(item.command, tentative)
            except (DomainError, UnavailableError) as refusal:
                item.reject(refusal)
                continue
            except Exception as error:  # A defect in one decision must not stop the others.
                log.exception("decision_failed", command=type(item.command).__name__)
                item.reject(error)
                continue
            command = item.command
            tentative.add(
                item.recorded,
                organization_id=command.organization_id,
                customer_id=command.customer_id if isinstance(command, CustomerCommand) else None,
                actor=item.actor,
                correlation_id=item.correlation_id,
            )
            accepted.append(item)
        return accepted, ()

    async def _decide_one(self, command: Command, tentative: Tentative) -> Sequence[Recorded]:
        organization = tentative.organization(command.organization_id)
        now = organization.clock if organization and organization.clock else self._clock.now()
        if isinstance(command, OrganizationCommand):
            events = decide_organization(organization, command, now=now)
            return [Recorded(event, now) for event in events]
        if organization is None:
            raise NotFound("organization")
        command = self._with_owner(command)
        while True:
            try:
                return decide_customer(
                    tentative.customer(command.customer_id),
                    command,
                    organization=organization,
                    now=now,
                    usage=self._usage.read,
                )
            except WindowNotReady as missing:
                await self._read(self._usage.fold, missing.window)
                self._windows.borrow(missing.window)

    def _usage_came_before(self, item: Waiting) -> bool:
        """Whether the command closes a usage window while usage that came before it is not committed."""
        if not isinstance(item.command, CLOSING):
            return False
        return item.batch == self._meter.open_batch and item.batch in self._batches

    def _with_owner(self, command: CustomerCommand) -> CustomerCommand:
        """A new subscription must know whether another customer has its external id active."""
        if not isinstance(command, CreateSubscription):
            return command
        external_id = command.input.get("external_id")
        name = external_id.strip() if isinstance(external_id, str) else str(external_id)
        owner = self._directory.active_owner(command.organization_id, name)
        taken = owner is not None and owner != command.customer_id
        return msgspec.structs.replace(command, taken_elsewhere=taken)
