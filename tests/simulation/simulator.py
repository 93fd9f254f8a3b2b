"""Years of random lives in a real engine, deterministic from a seed, with a disk that fails and an engine that dies.

Time is the simulator's: it moves in random steps, sometimes far while the engine is down. After each step the new facts
are read from the log by a `Ledger`, which knows what must be true. A failing seed fails again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from crash.faults import Disk
from engine_kit import Home, Shop, instant, running
from simulation.ledger import Ledger

from lago_engine.clock import ManualClock
from lago_engine.domain import commands as c
from lago_engine.domain.customer.state import CustomerState, Subscription
from lago_engine.errors import DomainError, UnavailableError

START = instant("2023-01-15T00:00:00Z")
ZONES = (
    "UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata",
    "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia",
)  # fmt: skip
INTERVALS = ("weekly", "monthly", "monthly", "quarterly", "semiannual", "yearly")
STEP = timedelta(days=3)
OUTAGE = timedelta(days=40)
FAILURES_MAX = 5
CREDIT_NOTES = ("credit", "refund", "offset", "skip")


class Plans:
    """The catalog: plans of all intervals, in advance and in arrears, some with trials, some split by month."""

    def __init__(self, random: Random) -> None:
        self.codes: list[str] = []
        self.given: list[tuple[str, int, dict[str, Any]]] = []
        for number in range(14):
            interval = random.choice(INTERVALS)
            fields: dict[str, Any] = {
                "interval": interval,
                "pay_in_advance": random.random() < 0.4,
                "trial_period": random.choice((0, 0, 0, 1, 10, 45)),
                "bill_charges_monthly": interval in ("semiannual", "yearly")
                and random.random() < 0.5,
            }
            self.codes.append(f"p{number}")
            self.given.append((f"p{number}", random.randrange(0, 100_000), fields))


class Simulation:
    """One world. `customers` live `years` years in it."""

    def __init__(self, seed: int, data: Path, *, customers: int, years: float) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.home = Home(data)
        self.clock = ManualClock(START)
        self.disk = Disk()
        self.ledger = Ledger()
        self.names = [f"c{n}" for n in range(customers)]
        self.until = START + timedelta(days=365 * years)
        self.plans = Plans(self.random)
        self.sent: dict[str, list[datetime]] = {}
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._position = 0
        self._events = 0

    async def run(self) -> None:
        """Live, then prove: every rule of the ledger, each event counted once, and an identical replay."""
        try:
            await self._run()
        except Exception as error:
            error.add_note(f"seed {self.seed}, at {self.clock.now()}")
            raise

    async def _run(self) -> None:
        founded = False
        while self.clock.now() < self.until:
            async with self._engine() as shop:
                if not founded:
                    await self._found(shop)
                    founded = True
                await self._live(shop)
            self._pass(OUTAGE * self.random.random())
        async with self._engine() as shop:
            await self._catch_up(shop)
            self._read(shop)
        self.ledger.close(self.clock.now())
        self._count_usage()
        self.home.assert_sound()

    @asynccontextmanager
    async def _engine(self) -> AsyncIterator[Shop]:
        self.disk = Disk()
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(
                running(self.home, self.clock, faults=self.disk)
            )
            yield Shop(opened, clock=self.clock)

    async def _found(self, shop: Shop) -> None:
        await shop.found()
        await shop.tax("vat", "19.6", applied_to_organization=True)
        await shop.metric("calls")
        for code, amount, fields in self.plans.given:
            await shop.plan(code, amount, {"calls": "0.37"}, **fields)
        for name in self.names:
            grace = {"invoice_grace_period": self.random.choice((0, 0, 3))}
            zone = self.random.choice(ZONES)
            await shop.customer(name, timezone=zone, billing_configuration=grace)

    def _pass(self, time: timedelta) -> None:
        self.clock.move_to(self.clock.now() + timedelta(seconds=int(time.total_seconds())))

    # --- a stretch between two failures --------------------------------------------------------

    async def _live(self, shop: Shop) -> None:
        """Some months, until the engine is stopped or dies."""
        dies = self.random.random() < 0.5
        for _ in range(self.random.randrange(20, 60)):
            if self.clock.now() >= self.until:
                return
            self._pass(STEP * self.random.expovariate(1))
            try:
                await self._step(shop)
            except UnavailableError:
                self.done["failed commit"] += 1
                if shop.engine.partition.failed is not None:
                    return
                await self._catch_up(shop)
            self._read(shop)
        if dies:
            self.done["death"] += 1
            self.disk.lose_confirmation()
            with suppress(UnavailableError):
                await shop.customer("bystander")
                raise AssertionError("the engine outlived its disk")

    async def _step(self, shop: Shop) -> None:
        """What fell due meanwhile, then a few things that customers do."""
        if self.random.random() < 0.1:
            self.disk.fail(times=self.random.randrange(1, FAILURES_MAX - 1))
        await shop.advance_to(self.clock.now())
        for _ in range(1 + len(self.names) // 8):
            await self._act(shop, self.random.choice(self.names))
        await self._use(shop)

    async def _catch_up(self, shop: Shop) -> None:
        """What is due, on a disk that is full a few times more."""
        for _ in range(FAILURES_MAX):
            with suppress(UnavailableError):
                await shop.advance_to(self.clock.now())
                return
        raise AssertionError("the disk failed too often")

    async def _act(self, shop: Shop, name: str) -> None:
        acts = (self._subscribe, self._subscribe, self._update, self._terminate, self._move)
        act = self.random.choice(acts)
        external_id = f"{name}-{self.random.randrange(2)}"
        try:
            await act(shop, name, external_id)
            self.done[act.__name__] += 1
        except DomainError as refusal:
            self.refused[str(refusal)] += 1

    async def _subscribe(self, shop: Shop, name: str, external_id: str) -> None:
        """A new subscription, or a change of plan of the one there is."""
        now, random = self.clock.now(), self.random
        fields: dict[str, Any] = {"billing_time": random.choice(("calendar", "anniversary"))}
        when = random.random()
        if when < 0.2:
            fields["subscription_at"] = _text(now - timedelta(days=random.randrange(1, 90)))
        elif when < 0.4:
            fields["subscription_at"] = _text(now + timedelta(hours=random.randrange(1, 900)))
        if random.random() < 0.2:
            fields["ending_at"] = _text(now + timedelta(days=random.randrange(40, 200)))
        if random.random() < 0.2:
            fields["consolidate_invoice"] = False
        await shop.subscribe(name, random.choice(self.plans.codes), external_id, **fields)

    async def _update(self, shop: Shop, name: str, external_id: str) -> None:
        current = await self._current(shop, name, external_id)
        if current is None:
            return
        given: dict[str, Any] = {"name": f"n{self.random.randrange(9)}"}
        if self.random.random() < 0.5:
            days = self.random.randrange(1, 100)
            given["ending_at"] = self.random.choice(
                (None, _text(self.clock.now() + timedelta(days=days)))
            )
        given["on_termination_credit_note"] = self.random.choice(CREDIT_NOTES)
        await shop.order(c.UpdateSubscription, name, subscription_id=current.id, input=given)

    async def _terminate(self, shop: Shop, name: str, external_id: str) -> None:
        given = {
            "status": self.random.choice(("active", "active", "pending")),
            "on_termination_credit_note": self.random.choice(CREDIT_NOTES),
            "on_termination_invoice": self.random.choice(("generate", "generate", "skip")),
        }
        if self.random.random() < 0.5:
            await shop.order(c.TerminateSubscription, name, external_id=external_id, input=given)

    async def _move(self, shop: Shop, name: str, _: str) -> None:
        if self.random.random() < 0.2:
            await shop.customer(name, timezone=self.random.choice(ZONES))

    async def _use(self, shop: Shop) -> None:
        """Usage of now, by whoever is there; sent again when the answer was lost."""
        events = []
        for name in self.random.sample(self.names, len(self.names) // 3 + 1):
            external_id = f"{name}-{self.random.randrange(2)}"
            if await self._current(shop, name, external_id) is not None:
                self._events += 1
                event = shop.event(external_id, "calls", id=f"e{self._events}")
                events.append(event)
        for start in range(0, len(events), 100):
            await self._ingest(shop, events[start : start + 100])

    async def _ingest(self, shop: Shop, events: list[dict[str, Any]]) -> None:
        for _ in range(FAILURES_MAX):
            try:
                status, answer = await shop.ingest(events)
            except UnavailableError:
                continue
            assert status == 200, answer
            for event in events:
                self.sent.setdefault(event["external_subscription_id"], []).append(shop.now)
            return
        raise AssertionError("the disk failed too often")

    async def _current(self, shop: Shop, name: str, external_id: str) -> Subscription | None:
        state: CustomerState | None = await shop.engine.customer(shop.id, name)
        assert state is not None
        active = (s for s in state.subscriptions.values() if s.status == "active")
        return next((s for s in active if s.external_id == external_id), None)

    # --- looking -------------------------------------------------------------------------------

    def _read(self, shop: Shop) -> None:
        """The facts since the last look, as the log has them."""
        for row in shop.engine.store.iter_log(self._position):
            self._position = row.position
            decoded = shop.engine.partition.decode(row)
            if decoded is not None:
                self.ledger.read(decoded[1])

    def _count_usage(self) -> None:
        """Each event of a billed window is on one invoice, once."""
        for external_id, sent in self.sent.items():
            for life, start, end in self.ledger.billed_spans(external_id):
                expected = sum(_cut(start) <= at < _cut(end) for at in sent)
                assert self.ledger.counted(life) == expected, external_id


def _text(moment: datetime) -> str:
    return moment.isoformat()


def _cut(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
