"""`/billable_metrics` (metrics §1)."""

from __future__ import annotations

from aiohttp import web

from lago_engine.api.answers import object_answer
from lago_engine.api.call import Call, event_of
from lago_engine.api.routes import delete, get, post, update
from lago_engine.domain.commands import (
    CreateBillableMetric,
    DeleteBillableMetric,
    UpdateBillableMetric,
)
from lago_engine.domain.events import BillableMetricCreated, BillableMetricUpdated

KIND = "billable_metric"
COUNTS = ("active_subscriptions_count", "draft_invoices_count", "plans_count")
"""Deprecated constants, in every answer but that to `GET` of one metric."""


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    command = CreateBillableMetric(organization_id=call.organization_id, input=given)
    event = event_of(await call.execute(command), BillableMetricCreated)
    assert event is not None
    return await call.answer(KIND, event.metric.code)


async def index(call: Call) -> web.Response:
    return await call.answer_list(KIND, "billable_metrics")


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, call.path("code"), omit=COUNTS)


async def change(call: Call) -> web.Response:
    code, given = call.path("code"), await call.input(KIND)
    command = UpdateBillableMetric(organization_id=call.organization_id, code=code, input=given)
    event = event_of(await call.execute(command), BillableMetricUpdated)
    return await call.answer(KIND, event.metric.code if event else code)


async def destroy(call: Call) -> web.Response:
    code = call.path("code")
    metric = call.present(KIND, await call.stored(KIND, code))
    await call.execute(DeleteBillableMetric(organization_id=call.organization_id, code=code))
    return object_answer(KIND, metric)


ROUTES = (
    post("/billable_metrics", create),
    get("/billable_metrics", index),
    get("/billable_metrics/{code}", show),
    *update("/billable_metrics/{code}", change),
    delete("/billable_metrics/{code}", destroy),
)
