"""The HTTP API: which routes there are, and what lives as long as the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web
from prometheus_client import CollectorRegistry

from lago_engine.api import (
    add_ons,
    applied_coupons,
    billable_metrics,
    coupons,
    credit_notes,
    customers,
    events,
    fee_estimates,
    fees,
    files,
    health,
    instant_estimates,
    invoice_previews,
    invoices,
    organizations,
    payment_links,
    payment_providers,
    payment_receipts,
    payments,
    plan_metadata,
    plan_parts,
    plans,
    pricing_units,
    subscription_prices,
    subscriptions,
    taxes,
    test_clock,
    test_organizations,
    test_parties,
    usage,
    wallet_transactions,
    wallets,
    webhook_endpoints,
    webhooks,
)
from lago_engine.api.call import ENGINE, PROVIDERS, READERS, SETTINGS
from lago_engine.api.edge import add_routes, logged, unmatched
from lago_engine.api.engine import Engine
from lago_engine.api.settings import ApiSettings
from lago_engine.api.traffic import Traffic
from lago_engine.payments import ProviderRegistry

BASE_PATH = "/api/v1"
READER_THREADS = 4

RESOURCES = (
    applied_coupons,
    coupons,
    credit_notes,
    add_ons,
    billable_metrics,
    customers,
    events,
    fee_estimates,
    fees,
    instant_estimates,
    invoice_previews,
    invoices,
    organizations,
    payment_links,
    payment_providers,
    payment_receipts,
    payments,
    plan_metadata,
    plan_parts,
    plans,
    pricing_units,
    subscription_prices,
    subscriptions,
    taxes,
    usage,
    wallet_transactions,
    wallets,
    webhook_endpoints,
    webhooks,
)
SANDBOX = (test_clock, test_organizations, test_parties)


def create_app(
    engine: Engine,
    settings: ApiSettings,
    *,
    providers: ProviderRegistry,
    metrics: CollectorRegistry,
) -> web.Application:
    """The API over one partition, which somebody else starts and stops."""
    app = web.Application(client_max_size=settings.client_max_size)
    app[ENGINE] = engine
    app[SETTINGS] = settings
    app[PROVIDERS] = providers
    app[health.METRICS] = metrics
    app[health.STOPPING] = asyncio.Event()
    app.cleanup_ctx.append(reader_threads)
    app.on_shutdown.append(announce_shutdown)
    traffic = Traffic()
    metrics.register(traffic)
    for resource in RESOURCES:
        add_routes(app, BASE_PATH, resource.ROUTES, traffic)
    for sandboxed in SANDBOX if settings.sandbox else ():
        add_routes(app, BASE_PATH, sandboxed.ROUTES, traffic)
    for routes in (files.ROUTES, health.ROUTES, webhooks.INBOUND):
        add_routes(app, "", routes, traffic)
    app.router.add_route("*", "/{path:.*}", logged(unmatched, traffic.route("*", "unmatched")))
    return app


async def reader_threads(app: web.Application) -> AsyncIterator[None]:
    """Threads for reads of the store, while the app runs."""
    with ThreadPoolExecutor(READER_THREADS, thread_name_prefix="api-reader") as readers:
        app[READERS] = readers
        yield


async def announce_shutdown(app: web.Application) -> None:
    app[health.STOPPING].set()
