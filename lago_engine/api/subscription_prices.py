"""The prices of one subscription: `/subscriptions/:external_id/charges` and what is below (subscriptions §8)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from aiohttp import web
from msgspec.structs import replace

from lago_engine.api.answers import object_answer
from lago_engine.api.call import Call
from lago_engine.api.plan_parts import answer_page, id_of, newest_first
from lago_engine.api.routes import Route, delete, get, post, update
from lago_engine.api.subscriptions import find
from lago_engine.domain import commands as c
from lago_engine.domain.catalog.decide_plan_parts import (
    find_charge,
    find_fixed_charge,
)
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.customer.fixed_charges import with_own_units
from lago_engine.domain.customer.price_overrides import find_own_filter
from lago_engine.domain.customer.settings import plan_of
from lago_engine.domain.decimals import to_wire
from lago_engine.errors import NotFound
from lago_engine.projecting.presenting import plan_address
from lago_engine.projecting.wire import Members, encode, members, members_list, read_string


class Priced:
    """A subscription as requested: whose it is, the plan that prices it, and that plan as it is shown."""

    def __init__(self, call: Call, owner: UUID, lago_id: UUID, plan: Plan, shown: Members) -> None:
        self.call = call
        self.owner = owner
        self.lago_id = lago_id
        self.plan = plan
        self._shown = shown

    @classmethod
    async def found(cls, call: Call) -> Priced:
        """Raises NotFound."""
        status = call.params.text("subscription_status") or "active"
        body = await find(call, call.path("external_id"), status)
        document = members(body)
        lago_id = UUID(read_string(document["lago_id"]))
        owner = UUID(read_string(document["lago_customer_id"]))
        state = await call.engine.customer_by_id(owner)
        assert state is not None, "a subscription has a customer"
        kind, key = plan_address(body, call.organization)
        shown = call.present(kind, await call.stored(kind, key))
        subscription = state.subscriptions[lago_id]
        plan = plan_of(subscription, call.organization)
        priced = replace(plan, fixed_charges=with_own_units(subscription, plan))
        return cls(call, owner, lago_id, priced, shown)

    def parts(self, section: str) -> dict[str, Members]:
        """The items of a section of the plan as clients see them, by id."""
        listed = members_list(encode(self._shown[section]))
        return {id_of(item): item for item in listed}

    def fixed_charges(self) -> dict[str, Members]:
        """The fixed charges as clients see them, with the units of the subscription, by id."""
        shown = self.parts("fixed_charges")
        units = {str(each.id): to_wire(each.units) for each in self.plan.fixed_charges}
        return {key: shown[key] | {"units": own} for key, own in units.items()}

    def filters(self, code: str) -> dict[str, Members]:
        """The filters of a charge as clients see them, by id. Raises NotFound."""
        charge = self.parts("charges")[str(find_charge(self.plan, code).id)]
        return {id_of(item): item for item in members_list(charge["filters"])}

    async def after(self, kind: type[c.PriceOverride], **named: Any) -> Priced:
        """The subscription once a command about its prices is done."""
        command = kind(
            organization_id=self.call.organization_id,
            customer_id=self.owner,
            subscription_id=self.lago_id,
            **named,
        )
        await self.call.execute(command)
        return await Priced.found(self.call)


# --- charges -----------------------------------------------------------------------------------


async def list_charges(call: Call) -> web.Response:
    priced = await Priced.found(call)
    shown = priced.parts("charges")
    ordered = [shown[str(key)] for key in newest_first(priced.plan.charges)]
    return answer_page(call, "charges", ordered)


async def show_charge(call: Call) -> web.Response:
    return _charge(await Priced.found(call), call.path("code"))


async def change_charge(call: Call) -> web.Response:
    given, code, priced = await call.input("charge"), call.path("code"), await Priced.found(call)
    return _charge(await priced.after(c.OverrideCharge, code=code, input=given), code)


def _charge(priced: Priced, code: str) -> web.Response:
    charge = find_charge(priced.plan, code)
    return object_answer("charge", priced.parts("charges")[str(charge.id)])


# --- filters -----------------------------------------------------------------------------------


async def list_filters(call: Call) -> web.Response:
    priced, code = await Priced.found(call), call.path("code")
    shown = priced.filters(code)
    by_update = sorted(find_charge(priced.plan, code).filters, key=lambda each: each.updated_at)
    return answer_page(call, "filters", [shown[str(each.id)] for each in by_update])


async def show_filter(call: Call) -> web.Response:
    return _filter(await Priced.found(call))


async def create_filter(call: Call) -> web.Response:
    given, code, priced = await call.input("filter"), call.path("code"), await Priced.found(call)
    after = await priced.after(c.CreateFilterOverride, code=code, input=given)
    made = find_charge(after.plan, code).filters[-1]
    return object_answer("filter", after.filters(code)[str(made.id)])


async def change_filter(call: Call) -> web.Response:
    given, code, priced = await call.input("filter"), call.path("code"), await Priced.found(call)
    filter_id = call.uuid("filter_id", "charge_filter")
    return _filter(
        await priced.after(c.OverrideFilter, code=code, filter_id=filter_id, input=given)
    )


async def delete_filter(call: Call) -> web.Response:
    priced, filter_id = await Priced.found(call), call.uuid("filter_id", "charge_filter")
    answer = _filter(priced)
    await priced.after(c.DeleteFilterOverride, code=call.path("code"), filter_id=filter_id)
    return answer


def _filter(priced: Priced) -> web.Response:
    """The filter of the path, which may name it by its own id or by that of the parent plan's."""
    call = priced.call
    code, filter_id = call.path("code"), call.uuid("filter_id", "charge_filter")
    charge = find_charge(priced.plan, code)
    filter_ = find_own_filter(call.organization, priced.plan, charge, filter_id)
    shown = priced.filters(code).get(str(filter_.id))
    if shown is None:
        raise NotFound("charge_filter")
    return object_answer("filter", shown)


# --- fixed charges -----------------------------------------------------------------------------


async def list_fixed_charges(call: Call) -> web.Response:
    priced = await Priced.found(call)
    shown = priced.fixed_charges()
    ordered = [shown[str(key)] for key in newest_first(priced.plan.fixed_charges)]
    return answer_page(call, "fixed_charges", ordered)


async def show_fixed_charge(call: Call) -> web.Response:
    return _fixed_charge(await Priced.found(call), call.path("code"))


async def change_fixed_charge(call: Call) -> web.Response:
    given, code = await call.input("fixed_charge"), call.path("code")
    priced = await Priced.found(call)
    return _fixed_charge(await priced.after(c.OverrideFixedCharge, code=code, input=given), code)


def _fixed_charge(priced: Priced, code: str) -> web.Response:
    fixed_charge = find_fixed_charge(priced.plan, code)
    return object_answer("fixed_charge", priced.fixed_charges()[str(fixed_charge.id)])


CHARGES = "/subscriptions/{external_id}/charges"
CHARGE = CHARGES + "/{code}"
FILTERS = CHARGE + "/filters"
FILTER = FILTERS + "/{filter_id}"
FIXED_CHARGES = "/subscriptions/{external_id}/fixed_charges"
FIXED_CHARGE = FIXED_CHARGES + "/{code}"

ROUTES: tuple[Route, ...] = (
    get(CHARGES, list_charges),
    get(CHARGE, show_charge),
    *update(CHARGE, change_charge),
    post(FILTERS, create_filter),
    get(FILTERS, list_filters),
    get(FILTER, show_filter),
    *update(FILTER, change_filter),
    delete(FILTER, delete_filter),
    get(FIXED_CHARGES, list_fixed_charges),
    get(FIXED_CHARGE, show_fixed_charge),
    *update(FIXED_CHARGE, change_fixed_charge),
)
