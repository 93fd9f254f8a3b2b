"""`/applied_coupons` (coupons_wallets_credit_notes §2)."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from lago_engine.api import filters
from lago_engine.api.bodies import as_text
from lago_engine.api.call import Call, event_of, parse_uuid
from lago_engine.api.filters import Condition
from lago_engine.api.params import Params
from lago_engine.api.routes import delete, get, post
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import ApplyCoupon, TerminateAppliedCoupon
from lago_engine.domain.events import CouponApplied
from lago_engine.errors import NotFound
from lago_engine.projecting.presenting import present
from lago_engine.projecting.wire import Members, members, members_list, read_string
from lago_engine.store.query import AnyOf, Filter

KIND = "applied_coupon"


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    external_id = as_text(given.get("external_customer_id"))
    command = ApplyCoupon(
        organization_id=call.organization_id,
        customer_id=call.organization.customer_id(external_id),
        input=given,
    )
    event = event_of(await call.execute(command), CouponApplied)
    assert event is not None
    return await call.answer(KIND, str(event.applied_coupon.id), omit=("credits",))


async def index(call: Call) -> web.Response:
    return await answer_applied_coupons(call)


async def answer_applied_coupons(call: Call, *, parent: str | None = None) -> web.Response:
    """A page of applied coupons with their credits, of one customer when `parent` names one."""
    documents, organization, now = call.engine.store.documents, call.organization, call.now

    def shown(body: bytes) -> Members:
        document = present(KIND, body, organization, now)
        document["credits"] = [credit(each) for each in members_list(document["credits"])]
        return document

    def credit(given: Members) -> Members:
        invoice_id = read_string(members(given["invoice"])["lago_id"])
        invoice = documents.get(call.organization_id, "invoice", invoice_id)
        assert invoice is not None, "credits come from invoices that stand"
        status = members(invoice)["payment_status"]
        return {**given, "invoice": {"lago_id": invoice_id, "payment_status": status}}

    return await call.answer_list(
        KIND,
        "applied_coupons",
        filters=applied_coupon_filters(call.params, organization),
        parent=parent,
        show=shown,
    )


def applied_coupon_filters(params: Params, organization: OrganizationState) -> Iterator[Condition]:
    """The filters of `GET /applied_coupons`. Those of deleted coupons count as terminated."""
    yield from filters.equals("external_customer_id", params.text("external_customer_id"))
    catalog = organization.coupons_by_id.values()
    deleted = [str(coupon.id) for coupon in catalog if coupon.deleted_at is not None]
    status = params.choice("status", among=("active", "terminated"))
    if status == "active":
        yield Filter("status", "eq", "active")
        live = [str(coupon.id) for coupon in catalog if coupon.deleted_at is None]
        yield Filter("lago_coupon_id", "in", live)
    elif status == "terminated":
        yield AnyOf((Filter("status", "eq", status), Filter("lago_coupon_id", "in", deleted)))
    if codes := params.texts("coupon_code"):
        named = [str(coupon.id) for coupon in catalog if coupon.code in codes]
        yield Filter("lago_coupon_id", "in", named)


async def destroy(call: Call) -> web.Response:
    """Take a coupon from a customer (`DELETE /customers/:external_id/applied_coupons/:lago_id`)."""
    external_id = call.path("external_id")
    await call.stored("customer", external_id)
    applied_id = parse_uuid(call.path("lago_id"), KIND)
    body = members(await call.stored(KIND, str(applied_id)))
    if read_string(body["external_customer_id"]) != external_id:
        raise NotFound(KIND)
    await call.execute(
        TerminateAppliedCoupon(
            organization_id=call.organization_id,
            customer_id=call.organization.customer_id(external_id),
            applied_coupon_id=applied_id,
        )
    )
    return await call.answer(KIND, str(applied_id), omit=("credits",))


async def customer_index(call: Call) -> web.Response:
    external_id = call.path("external_id")
    await call.stored("customer", external_id)
    return await answer_applied_coupons(call, parent=external_id)


ROUTES = (
    post("/applied_coupons", create),
    get("/applied_coupons", index),
    get("/customers/{external_id}/applied_coupons", customer_index),
    delete("/customers/{external_id}/applied_coupons/{lago_id}", destroy),
)
