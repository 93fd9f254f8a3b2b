"""Puts an engine together from settings: store, memory, projections, providers, webhooks, HTTP."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Final
from uuid import UUID

import aiohttp
import structlog
from prometheus_client import CollectorRegistry

from lago_engine.actors.committing import Committed
from lago_engine.actors.index import IndexUpkeep, Progress
from lago_engine.actors.partition import COMMANDS_PER_TICK, Limits, Partition
from lago_engine.actors.recovery import Bounds, Places, Recovered, recover
from lago_engine.actors.repetitions import Repetitions
from lago_engine.actors.snapshots import Snapshots
from lago_engine.api.settings import ApiSettings
from lago_engine.clock import Clock
from lago_engine.domain.events import EVENT_TYPES
from lago_engine.engine import Engine
from lago_engine.errors import UnavailableError
from lago_engine.metrics import engine_metrics
from lago_engine.payments.reactor import PaymentReactor
from lago_engine.payments.registry import ProviderRegistry
from lago_engine.payments.simulated import SimulatedProvider
from lago_engine.projecting.inline import InlineRunner, find_projections
from lago_engine.scheduling.scheduler import Scheduler
from lago_engine.scheduling.usage_errors import UsageErrorReports
from lago_engine.settings import ConfigError, Settings
from lago_engine.store.codec import EventCodec
from lago_engine.store.open import open_store
from lago_engine.store.port import Store
from lago_engine.store.upcasters import UPCASTERS
from lago_engine.webhooks.delivery import DeliveryWorker, WebhookSender
from lago_engine.webhooks.outbox import WebhookOutbox
from lago_engine.webhooks.signing import JwtSigner, WebhookSigner, generate_private_key_pem

log = structlog.get_logger(__name__)

CUSTOMERS_RESIDENT_MIN: Final = 2 * COMMANDS_PER_TICK
"""A tick needs the customers of its commands in memory all at once."""

CHECKPOINT_EVERY_S: Final = 5.0
STOP_WAIT_S: Final = 10
PURGE_EVERY_US: Final = 24 * 3600 * 1_000_000
DELIVERIES_KEPT_US: Final = 90 * 24 * 3600 * 1_000_000
FINGERPRINTS_META: Final = "secret:fingerprints"
JWT_META: Final = "secret:webhook_jwt"
FILES_META: Final = "secret:files"
DEFAULT_URL: Final = "http://127.0.0.1:3000"


def event_codec() -> EventCodec:
    """The codec of every event this version writes or can still read."""
    return EventCodec(EVENT_TYPES, UPCASTERS)


def store_of(settings: Settings) -> Store:
    """Open the store the settings name; the data directory is made when it is missing."""
    settings.data.mkdir(parents=True, exist_ok=True)
    if settings.database is not None:
        return open_store(None, settings.database, sync_delay_s=settings.sync_delay_s)
    return open_store(settings.data, None, sync_delay_s=settings.sync_delay_s)


def secret(store: Store, key: str, make: Callable[[], bytes]) -> bytes:
    """A secret of this installation, made on first use and kept in the store."""
    known = store.meta_get(key)
    if known is None:
        known = make()
        store.meta_put(key, known)
    return known


def fingerprint_secret(store: Store) -> bytes:
    """The key of the usage fingerprints."""
    return secret(store, FINGERPRINTS_META, lambda: secrets.token_bytes(16))


def places(settings: Settings) -> Places:
    """Where the engine keeps what it can make again from the log."""
    return Places(snapshots=settings.data / "snapshots", index=settings.data / "index")


class Opened:
    """A running engine with what the HTTP API must be told."""

    def __init__(
        self,
        engine: Engine,
        api: ApiSettings,
        delivery: DeliveryWorker,
        providers: ProviderRegistry,
        metrics: CollectorRegistry,
    ) -> None:
        self.engine = engine
        self.api = api
        self.delivery = delivery
        self.providers = providers
        self.metrics = metrics


@asynccontextmanager
async def open_engine(
    settings: Settings,
    clock: Clock,
    *,
    store: Store | None = None,
    progress: Progress | None = None,
) -> AsyncIterator[Opened]:
    """A started engine; everything is finished and saved when the block ends."""
    async with AsyncExitStack() as stack:
        opened_store = store or store_of(settings)
        stack.callback(opened_store.close)
        codec = event_codec()
        recovered = await asyncio.to_thread(
            recover,
            opened_store,
            codec,
            fingerprint_secret(opened_store),
            places(settings),
            Bounds(
                batch=settings.events_batch_max,
                customers=max(settings.customers_resident_max, CUSTOMERS_RESIDENT_MIN),
                fingerprints=settings.fingerprints_in_memory_max,
            ),
            progress=progress,
        )
        partition = _partition(settings, clock, opened_store, codec, recovered)
        registry = ProviderRegistry.discover(built_in=[SimulatedProvider])
        await stack.enter_async_context(registry)
        reactor = PaymentReactor(partition, registry, deadline_s=settings.provider_timeout_s)
        organizations = recovered.residents.organizations
        usage_errors = UsageErrorReports(
            recovered.meter, opened_store, organizations, partition.execute, partition.read
        )
        scheduler = Scheduler(partition, recovered.due, organizations, reactor.settle, usage_errors)
        engine = Engine(
            partition,
            registry,
            reactor,
            scheduler,
            document_workers=settings.document_workers,
        )
        session = await stack.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        )
        jwt = JwtSigner(
            secret(opened_store, JWT_META, generate_private_key_pem),
            issuer=settings.public_url or DEFAULT_URL,
        )
        delivery = _delivery(settings, clock, partition, session, jwt)
        partition.listeners.append(_notifier(delivery))
        await engine.start(recovered.position)
        snapshots = Snapshots(
            partition,
            recovered,
            places(settings).snapshots,
            every_s=settings.snapshot_every_s,
            every_events=settings.snapshot_every_events,
        )
        upkeep = IndexUpkeep(recovered.meter, settings.fingerprints_in_memory_max)
        repetitions = Repetitions(recovered.meter, opened_store)
        tasks = [
            asyncio.create_task(delivery.run(), name="webhook-delivery"),
            asyncio.create_task(upkeep.run(), name="index-upkeep"),
            asyncio.create_task(_housekeeping(opened_store, clock), name="housekeeping"),
            asyncio.create_task(repetitions.run(partition.read), name="repetitions"),
            asyncio.create_task(snapshots.run(), name="snapshots"),
        ]
        for task in tasks:
            task.add_done_callback(partial(_on_background_end, partition))
        try:
            yield Opened(
                engine,
                _api_settings(settings, opened_store, jwt),
                delivery,
                registry,
                engine_metrics(partition, reactor),
            )
        finally:
            delivery.stop()
            upkeep.stop()
            await asyncio.wait(tasks[:2], timeout=STOP_WAIT_S)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await engine.stop()
            if partition.failed is None:
                await snapshots.save()


def _partition(
    settings: Settings, clock: Clock, store: Store, codec: EventCodec, recovered: Recovered
) -> Partition:
    found = find_projections()
    if found.failures or found.missing_kinds:
        raise ConfigError(
            "the projections that the API serves from are not usable: install lago-projections "
            f"(failures: {found.failures}, missing: {', '.join(found.missing_kinds) or 'none'})"
        )
    return Partition(
        store=store,
        meter=recovered.meter,
        codec=codec,
        projections=InlineRunner(found.projections, store.documents),
        webhooks=WebhookOutbox(),
        clock=clock,
        residents=recovered.residents,
        directory=recovered.directory,
        due=recovered.due,
        limits=Limits(
            commands_waiting=settings.commands_waiting_max,
            staged_bytes=settings.staged_bytes_max,
        ),
    )


def _delivery(
    settings: Settings,
    clock: Clock,
    partition: Partition,
    session: aiohttp.ClientSession,
    jwt: JwtSigner,
) -> DeliveryWorker:
    def hmac_key_of(organization_id: UUID) -> str:
        return partition.organization(organization_id).organization.hmac_key

    return DeliveryWorker(
        partition.store.outbox,
        WebhookSender(
            session, WebhookSigner(jwt, hmac_key_of), timeout_s=settings.webhook_timeout_s
        ),
        now_us=clock.now_us,
        max_attempts=settings.webhook_attempts_max,
    )


def _on_background_end(partition: Partition, task: asyncio.Task[None]) -> None:
    """A background task that dies takes the engine with it: half an engine must not go on."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("background_task_failed", task=task.get_name(), error=repr(error))
        partition.fail(error)


def _notifier(delivery: DeliveryWorker) -> Callable[[Committed], None]:
    def notify(committed: Committed) -> None:
        if committed.facts:
            delivery.notify()

    return notify


def _api_settings(settings: Settings, store: Store, jwt: JwtSigner) -> ApiSettings:
    return ApiSettings(
        files_secret=secret(store, FILES_META, lambda: secrets.token_bytes(32)),
        webhook_public_key=jwt.public_key_mime(),
        sandbox=settings.sandbox,
        admin_key=settings.admin_key,
        public_url=settings.public_url,
        client_max_size=settings.body_bytes_max,
        version=version("lago-engine"),
    )


async def _housekeeping(store: Store, clock: Clock) -> None:
    """Database checkpoints and the end of old deliveries, off the commit path."""
    purged_us = 0
    while True:
        await asyncio.sleep(CHECKPOINT_EVERY_S)
        try:
            await asyncio.to_thread(store.checkpoint)
            if clock.now_us() - purged_us > PURGE_EVERY_US:
                await asyncio.to_thread(store.outbox.purge, clock.now_us() - DELIVERIES_KEPT_US)
                purged_us = clock.now_us()
        except UnavailableError as error:  # Tried again; commits report the outage to clients.
            log.warning("housekeeping_failed", error=str(error))
