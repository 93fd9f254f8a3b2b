"""The data the benchmarks run on: an organization whose customers have one subscription each.

The plan bills a base amount and four charges, the organization has one tax. The clock is virtual and stands in
January 2026. `python -m benchmarks.world DIRECTORY CUSTOMERS EVENTS [--kill]` writes a server's data directory through the
engine itself, without HTTP.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import uvloop

from benchmarks.bodies import BATCH_EVENTS, METRICS, EventSource
from lago_engine.bootstrap import open_engine
from lago_engine.clock import SystemClock
from lago_engine.domain import ids
from lago_engine.domain.commands import (
    CreateBillableMetric,
    CreateOrganization,
    CreatePlan,
    CreateSubscription,
    CreateTax,
    SetClock,
    UpsertCustomer,
)
from lago_engine.engine import Engine
from lago_engine.settings import Settings

API_KEY: Final = "benchmark-key"
ORGANIZATION_ID: Final = UUID("be9c0000-0000-4000-8000-000000000001")
NOW: Final = datetime(2026, 1, 10, 12, tzinfo=UTC)
AT_ONCE: Final = 1_000
"""Requests under way at the same time while the data is made."""


def external_id(number: int) -> str:
    return f"cust_{number:05d}"


async def fill(engine: Engine, customers: int, events: int) -> None:
    """Make the catalog, the customers with their subscriptions, and some usage spread over all of them."""
    await _catalog(engine)
    await _all_of(_customer(engine, number) for number in range(customers))
    source = EventSource("world")
    bodies = (source.batches_for_all(1, customers)[0] for _ in range(events // BATCH_EVENTS))
    await _all_of(engine.ingest(ORGANIZATION_ID, body, single=False) for body in bodies)


async def _catalog(engine: Engine) -> None:
    organization_id = ORGANIZATION_ID
    commands: list[Any] = [
        CreateOrganization(
            organization_id=organization_id,
            input={"name": "Benchmarks", "default_currency": "EUR"},
            key_hash=sha256(API_KEY.encode()).hexdigest(),
            key_last_four=API_KEY[-4:],
            hmac_key="benchmark",
            test=True,
        ),
        SetClock(organization_id=organization_id, now=NOW, rewind=True),
        CreateTax(
            organization_id=organization_id,
            input={"name": "VAT", "code": "vat", "rate": "20", "applied_to_organization": True},
        ),
    ]
    commands += [
        CreateBillableMetric(organization_id=organization_id, input=_metric(code))
        for code in METRICS
    ]
    for command in commands:
        await engine.execute(command, actor="setup")
    metrics = engine.organization(organization_id).metrics
    plan = {
        "name": "Basic",
        "code": "basic",
        "interval": "monthly",
        "amount_cents": 1000,
        "amount_currency": "EUR",
        "pay_in_advance": False,
        "charges": [
            {
                "billable_metric_id": str(metrics[code].id),
                "charge_model": "standard",
                "properties": {"amount": "0.12"},
            }
            for code in METRICS
        ],
    }
    await engine.execute(CreatePlan(organization_id=organization_id, input=plan), actor="setup")


def _metric(code: str) -> dict[str, Any]:
    metric = {"name": code.title(), "code": code}
    if code in METRICS[:2]:
        return metric | {"aggregation_type": "sum_agg", "field_name": "gb"}
    return metric | {"aggregation_type": "count_agg"}


async def _customer(engine: Engine, number: int) -> None:
    name = external_id(number)
    customer_id = ids.customer_id(ORGANIZATION_ID, name)
    customer = UpsertCustomer(
        organization_id=ORGANIZATION_ID,
        customer_id=customer_id,
        external_id=name,
        input={"external_id": name, "currency": "EUR"},
    )
    subscription = CreateSubscription(
        organization_id=ORGANIZATION_ID,
        customer_id=customer_id,
        input={
            "external_customer_id": name,
            "external_id": f"sub_{number:05d}",
            "plan_code": "basic",
        },
    )
    for command in (customer, subscription):
        await engine.execute(command, actor="setup")


async def _all_of(requests: Iterator[Awaitable[object]]) -> None:
    """Do everything, `AT_ONCE` at a time."""

    async def work() -> None:
        for request in requests:
            await request

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def make(data: Path, customers: int, events: int, *, kill: bool) -> None:
    """Write the data directory of a server; kill: with default settings, and without the end of one."""
    settings = Settings(data=data, sandbox=True, document_workers=0)
    if not kill:
        settings = msgspec.structs.replace(settings, snapshot_every_s=0)
    async with open_engine(settings, SystemClock()) as opened:
        await fill(opened.engine, customers, events)
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: Sequence[str]) -> None:
    data, customers, events, *kill = arguments
    uvloop.run(make(Path(data), int(customers), int(events), kill=kill == ["--kill"]))


if __name__ == "__main__":
    main(sys.argv[1:])
