"""Deciding one tick's commands, each on states that already show the ones before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
import structlog

from lago_engine.actors.aside import Aside
from lago_engine.actors.batches import Batches
from lago_engine.actors.directory import Directory
from lago_engine.actors.mailbox import Command, Waiting
from lago_engine.actors.open_windows import OpenWindows
from lago_engine.actors.pending import ChangeNotReady, PendingReader
from lago_engine.actors.tentative import Tentative
from lago_engine.actors.usage import UsageWindows, WindowNotReady
from lago_engine.clock import Clock
from lago_engine.domain.catalog.decide import decide_organization
from lago_engine.domain.commands import (
    AdvanceTime,
    CreateSubscription,
    CustomerCommand,
    DeleteCustomer,
    FinalizeInvoice,
    LeavePlan,
    OrganizationCommand,
    TerminateSubscription,
)
from lago_engine.domain.customer.decide import decide_customer
from lago_engine.domain.customer.decision import Recorded
from lago_engine.domain.customer.windows import UsageWindow
from lago_engine.errors import DomainError, NotFound, UnavailableError
from lago_engine.metering import Meter, Window

log = structlog.get_logger(__name__)

DECIDING_S: Final = 0.01
"""After so long deciding, what is decided is committed first: usage waits for that commit."""

CLOSING = (AdvanceTime, DeleteCustomer, FinalizeInvoice, LeavePlan, TerminateSubscription)
"""Commands after which usage of a window comes too late to be billed."""


class Blocking(Protocol):
    """Runs a blocking read off the loop."""

    def __call__(
        self, function: Callable[[UsageWindow], None], window: UsageWindow, /
    ) -> Coroutine[Any, Any, None]: ...


class _MustFold(Exception):
    """A decision needs a window that must be folded from the log first."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window = window


class Decider:
    """Turns commands into facts of a tick. The customers of the commands are in memory."""

    def __init__(
        self,
        *,
        meter: Meter,
        clock: Clock,
        directory: Directory,
        usage: UsageWindows,
        pending: PendingReader,
        windows: OpenWindows,
        batches: Batches,
        aside: Aside,
        read: Blocking,
    ) -> None:
        self._meter = meter
        self._clock = clock
        self._directory = directory
        self._usage = usage
        self._pending = pending
        self._windows = windows
        self._batches = batches
        self._aside = aside
        self._read = read

    def decide(
        self, waiting: Sequence[Waiting], tentative: Tentative
    ) -> tuple[list[Waiting], Sequence[Waiting]]:
        """The commands that were accepted, and those that must wait for the commit of this tick.

        Those that were refused have their answer already. One that needs a window from the log is set aside, with
        all that its customer was sent after it.
        """
        accepted: list[Waiting] = []
        time = asyncio.get_running_loop().time
        until = time() + DECIDING_S
        for number, item in enumerate(waiting):
            if self._aside.takes(item):
                continue
            late = number > 0 and time() > until
            if late or tentative.must_commit_before(item.command) or self._usage_came_before(item):
                return accepted, waiting[number:]
            if self._attempt(item, tentative):
                accepted.append(item)
        return accepted, ()

    def _attempt(self, item: Waiting, tentative: Tentative) -> bool:
        """Whether the command was accepted; if not, it was refused or is set aside."""
        command = item.command
        accepted = False
        try:
            item.recorded = self._decide_one(item, tentative)
        except _MustFold as missing:
            self._aside.put(item, missing.window)
            return False
        except ChangeNotReady as unknown:
            trace = asyncio.ensure_future(self._read(self._pending.trace, unknown.window))
            self._aside.put_until(item, trace)
            return False
        except (DomainError, UnavailableError) as refusal:
            item.reject(refusal)
        except Exception as error:  # A defect in one decision must not stop the others.
            log.exception("decision_failed", command=type(command).__name__)
            item.reject(error)
        else:
            tentative.add(
                item.recorded,
                organization_id=command.organization_id,
                customer_id=command.customer_id if isinstance(command, CustomerCommand) else None,
                actor=item.actor,
                correlation_id=item.correlation_id,
            )
            accepted = True
        if isinstance(command, CustomerCommand):
            self._windows.borrow(command.customer_id, item.windows)
        return accepted

    def _decide_one(self, item: Waiting, tentative: Tentative) -> Sequence[Recorded]:
        """Raises _MustFold; the windows that the command needed until then stay open for it."""
        command = item.command
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
                    in_advance=self._pending,
                )
            except ChangeNotReady:  # A kind of WindowNotReady that no open window helps.
                raise
            except WindowNotReady as missing:
                item.windows.append(missing.window)
                incomplete = self._usage.require(missing.window)
                if incomplete is not None:
                    raise _MustFold(incomplete) from None

    def _usage_came_before(self, item: Waiting) -> bool:
        """Whether the command closes a usage window while usage that came before it is not committed."""
        closing = isinstance(item.command, CLOSING) or self._owner(item.command) is not None
        return closing and item.batch == self._meter.open_batch and item.batch in self._batches

    def _with_owner(self, command: CustomerCommand) -> CustomerCommand:
        """A new subscription must know whether another customer has its external id active."""
        if not isinstance(command, CreateSubscription):
            return command
        owner = self._owner(command)
        taken = owner is not None and owner != command.customer_id
        return msgspec.structs.replace(command, taken_elsewhere=taken)

    def _owner(self, command: Command) -> UUID | None:
        """Who has the external id of the subscription to create active; for them it is a change of plan."""
        if not isinstance(command, CreateSubscription):
            return None
        external_id = command.input.get("external_id")
        name = external_id.strip() if isinstance(external_id, str) else str(external_id)
        return self._directory.active_owner(command.organization_id, name)
