"""A real engine for tests: in this process with a clock of the test's own, and what a scenario does to it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from lago_engine.audit.replay import Report, replay
from lago_engine.audit.verify import Verified, verify
from lago_engine.bootstrap import Opened, event_codec, fingerprint_secret, open_engine
from lago_engine.clock import Clock, ManualClock
from lago_engine.domain import commands as c
from lago_engine.domain import ids
from lago_engine.domain.events import DomainEvent
from lago_engine.domain.rating.usage_question import UsageQuestion
from lago_engine.projecting.inline import find_projections
from lago_engine.settings import Settings
from lago_engine.store import Store, open_store
from lago_engine.store.documents import Query
from lago_engine.store.port import Faults

ORGANIZATION_ID = UUID("0196f3a0-0000-8000-8000-00000000a5ce")
API_KEY = "8f14e45f-ceea-467f-a8b1-2b5f2f8d3c11"
ACTOR = "test"

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def instant(text: str) -> datetime:
    """`2024-03-01` or `2024-03-01T04:00:00Z`, in UTC."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def wire(moment: datetime) -> str:
    """An instant as documents show it: whole seconds, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Home:
    """Where an engine keeps its data: a directory, and a PostgreSQL database if there is a URL."""

    def __init__(self, data: Path, url: str | None = None) -> None:
        self.data = data
        self.url = url

    def settings(self, **others: Any) -> Settings:
        given = {"sandbox": True, "snapshot_every_s": 0, "document_workers": 0} | others
        return Settings(data=self.data, database=self.url, **given)

    def store(self, *, faults: Faults | None = None, read_only: bool = False) -> Store:
        self.data.mkdir(parents=True, exist_ok=True)
        directory = None if self.url else self.data
        return open_store(directory, self.url, faults=faults, read_only=read_only)

    @property
    def snapshot(self) -> Path:
        return self.data / "snapshots" / "engine.snapshot"

    def verified(self) -> Verified:
        """The hash chains of the stored log; raises CorruptionError."""
        store = self.store(read_only=True)
        try:
            return verify(store)
        finally:
            store.close()

    def replayed(self) -> Report:
        """The stored log folded again by the code of today."""
        store = self.store(read_only=True)
        try:
            return replay(
                store, event_codec(), find_projections().projections, fingerprint_secret(store)
            )
        finally:
            store.close()

    def assert_sound(self) -> Report:
        """Fail unless the log verifies and a replay gives what is stored."""
        self.verified()
        report = self.replayed()
        assert report.identical, report.mismatches[:3]
        return report


class Shop:
    """One organization of a running engine.

    `clock` None: a test organization with a virtual clock. Otherwise an ordinary one, on the clock that the
    engine runs by; time then passes as it does for a server.
    """

    def __init__(
        self,
        opened: Opened,
        organization_id: UUID = ORGANIZATION_ID,
        clock: ManualClock | None = None,
    ) -> None:
        self.engine = opened.engine
        self.opened = opened
        self.id = organization_id
        self._clock = clock
        self._transactions = itertools.count(1)

    async def found(self, **fields: Any) -> Shop:
        """Create the organization."""
        command = c.CreateOrganization(
            organization_id=self.id,
            input={"name": "Acme", "default_currency": "EUR", **fields},
            key_hash=sha256(API_KEY.encode()).hexdigest(),
            key_last_four=API_KEY[-4:],
            hmac_key="3f0c2a58-5d6e-4a0b-9b9b-0d8a0f6f4b11",
            test=self._clock is None,
        )
        await self._execute(command)
        return self

    # --- time ----------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.engine.now(self.id)

    async def at(self, when: str | datetime) -> Shop:
        """Set the clock; nothing runs because of it."""
        moment = instant(when) if isinstance(when, str) else when
        if self._clock is None:
            await self._execute(c.SetClock(organization_id=self.id, now=moment, rewind=True))
        else:
            self._clock.move_to(moment)
        return self

    async def advance_to(self, when: str | datetime) -> Shop:
        """Let time pass, with everything that falls due on the way."""
        moment = instant(when) if isinstance(when, str) else when
        if self._clock is None:
            await self.engine.advance(self.id, moment)
        else:
            self._clock.move_to(moment)
            await self.engine.scheduler.catch_up(self.id, moment)
        await self.engine.settle(self.id)
        return self

    # --- commands ------------------------------------------------------------------------------

    async def _execute(self, command: Any) -> Sequence[DomainEvent]:
        events = await self.engine.execute(command, actor=ACTOR)
        await self.engine.settle(self.id)
        return events

    async def organization(self, kind: type[c.OrganizationCommand], **members: Any) -> Any:
        return await self._execute(kind(organization_id=self.id, **members))

    async def order(self, kind: type[c.CustomerCommand], customer: str, **members: Any) -> Any:
        """A command to the first customer with an external id."""
        return await self.order_by_id(kind, ids.customer_id(self.id, customer), **members)

    async def order_by_id(
        self, kind: type[c.CustomerCommand], customer_id: UUID, **members: Any
    ) -> Any:
        """A customer command."""
        return await self._execute(
            kind(organization_id=self.id, customer_id=customer_id, **members)
        )

    async def metric(self, code: str, field: str | None = None, **fields: Any) -> Shop:
        """A metric that counts, or sums `field`."""
        kind = {"aggregation_type": "sum_agg" if field else "count_agg", "field_name": field}
        given = {"code": code, "name": code.title(), **kind, **fields}
        await self.organization(c.CreateBillableMetric, input=given)
        return self

    async def tax(self, code: str, rate: str, **fields: Any) -> Shop:
        given = {"code": code, "name": code.upper(), "rate": Decimal(rate), **fields}
        await self.organization(c.CreateTax, input=given)
        return self

    async def plan(
        self, code: str, amount_cents: int, charges: Mapping[str, str] | None = None, **fields: Any
    ) -> Shop:
        """A plan; `charges` are unit prices by metric code."""
        metrics = self.engine.organization(self.id).metrics
        given = {
            "code": code,
            "name": code.title(),
            "interval": "monthly",
            "amount_cents": amount_cents,
            "amount_currency": "EUR",
            "pay_in_advance": False,
            "charges": [
                {
                    "billable_metric_id": str(metrics[metric].id),
                    "charge_model": "standard",
                    "properties": {"amount": price},
                }
                for metric, price in (charges or {}).items()
            ],
        }
        await self.organization(c.CreatePlan, input=given | fields)
        return self

    async def plan_of_one_charge(self, code: str, metric: str, **charge: Any) -> Shop:
        """A monthly plan in arrears that costs nothing but its charge."""
        metric_id = str(self.engine.organization(self.id).metrics[metric].id)
        given = {
            "code": code,
            "name": code.title(),
            "interval": "monthly",
            "amount_cents": 0,
            "amount_currency": "EUR",
            "pay_in_advance": False,
            "charges": [{"billable_metric_id": metric_id, **charge}],
        }
        await self.organization(c.CreatePlan, input=given)
        return self

    async def customer(self, external_id: str, **fields: Any) -> Shop:
        given = {"external_id": external_id, **fields}
        await self.order(c.UpsertCustomer, external_id, external_id=external_id, input=given)
        return self

    async def subscribe(
        self, customer: str, plan: str, external_id: str | None = None, **fields: Any
    ) -> Shop:
        """A subscription, under the customer's own id unless told otherwise."""
        given = {
            "external_customer_id": customer,
            "plan_code": plan,
            "external_id": external_id or customer,
            **fields,
        }
        await self.order(c.CreateSubscription, customer, input=given)
        return self

    # --- usage ---------------------------------------------------------------------------------

    def event(
        self, subscription: str, code: str, *, at: str | datetime | None = None,
        id: str | None = None, **properties: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """A usage event as clients send it."""
        moment = self.now if at is None else instant(at) if isinstance(at, str) else at
        return {
            "transaction_id": id or f"t{next(self._transactions)}",
            "external_subscription_id": subscription,
            "code": code,
            "timestamp": f"{moment.timestamp():.3f}",
            "properties": properties,
        }

    async def ingest(
        self, events: Iterable[Mapping[str, Any]], *, partial: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Send one batch; (status, answer). partial: each event for itself."""
        body = msgspec.json.encode({"events": list(events)})
        answer = await self.engine.ingest(self.id, body, single=False, partial=partial)
        return answer.status, _decode(answer.body)

    async def use(self, subscription: str, code: str, **fields: Any) -> Shop:
        """One usage event that must be accepted; fields: those of `event`."""
        status, answer = await self.ingest([self.event(subscription, code, **fields)])
        assert status == 200, answer
        return self

    # --- looking -------------------------------------------------------------------------------

    def documents(self, kind: str, parent: str | None = None) -> list[dict[str, Any]]:
        """All documents of a kind, oldest first, without their hidden member."""
        query = Query(parent=parent, order=(("position", "asc"),), limit=1_000_000)
        bodies, _ = self.engine.store.documents.list(self.id, kind, query)
        decoded = [_decode(body) for body in bodies]
        return [{k: v for k, v in document.items() if k != "_"} for document in decoded]

    def invoices(self, customer: str | None = None) -> list[dict[str, Any]]:
        return self.documents("invoice", customer)

    async def usage(self, customer: str, subscription: str | None = None) -> dict[str, Any]:
        """The `customer_usage` object."""
        found = await self.engine.current_usage(
            self.id, customer, subscription or customer, UsageQuestion()
        )
        return dict(found)

    async def stored_events(self, **filters: Any) -> list[dict[str, Any]]:
        """Usage events in the log, newest first."""
        nothing = dict.fromkeys(
            ("code", "external_subscription_id", "transaction_id", "from_us", "to_us")
        )
        _, body = await self.engine.scan_events(
            self.id, **(nothing | filters), offset=0, limit=1_000_000
        )
        return msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal).decode(body)


@asynccontextmanager
async def running(
    home: Home, clock: Clock, *, faults: Faults | None = None, **settings: Any
) -> AsyncIterator[Opened]:
    """A started engine; closed as a server that is told to stop."""
    store = None if faults is None else home.store(faults=faults)
    async with open_engine(home.settings(**settings), clock, store=store) as opened:
        yield opened


@asynccontextmanager
async def sandbox(home: Home, **settings: Any) -> AsyncIterator[Shop]:
    """A new test organization on a virtual clock, in an engine of its own."""
    async with running(home, ManualClock(instant("2024-01-01"))) as opened:
        yield await Shop(opened).found(**settings)
