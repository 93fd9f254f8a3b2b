"""`/coupons` (coupons_wallets_credit_notes §1)."""

from __future__ import annotations

from aiohttp import web

from lago_engine.api.answers import object_answer
from lago_engine.api.call import Call, Order, event_of
from lago_engine.api.routes import delete, get, post, update
from lago_engine.domain.commands import CreateCoupon, DeleteCoupon, UpdateCoupon
from lago_engine.domain.events import CouponCreated, CouponUpdated

KIND = "coupon"

ORDER: Order = (
    ("expiration", "asc"), ("expiration_at", "asc"), ("sort_key", "desc"), ("position", "desc"),
)  # fmt: skip


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    events = await call.execute(CreateCoupon(organization_id=call.organization_id, input=given))
    event = event_of(events, CouponCreated)
    assert event is not None
    return await call.answer(KIND, event.coupon.code)


async def index(call: Call) -> web.Response:
    return await call.answer_list(KIND, "coupons", order=ORDER)


async def show(call: Call) -> web.Response:
    return await call.answer(KIND, call.path("code"))


async def change(call: Call) -> web.Response:
    code, given = call.path("code"), await call.input(KIND)
    command = UpdateCoupon(organization_id=call.organization_id, code=code, input=given)
    event = event_of(await call.execute(command), CouponUpdated)
    return await call.answer(KIND, event.coupon.code if event else code)


async def destroy(call: Call) -> web.Response:
    code = call.path("code")
    coupon = call.present(KIND, await call.stored(KIND, code))
    await call.execute(DeleteCoupon(organization_id=call.organization_id, code=code))
    return object_answer(KIND, coupon)


ROUTES = (
    post("/coupons", create),
    get("/coupons", index),
    get("/coupons/{code}", show),
    *update("/coupons/{code}", change),
    delete("/coupons/{code}", destroy),
)
