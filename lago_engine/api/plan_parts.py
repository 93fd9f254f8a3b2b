"""The paths below a plan: charges, their filters, fixed charges (plans §5-§7, charges §1.2).

What is shown comes from the plan's document; a deleted part is shown as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

from aiohttp import web

from lago_engine.api.answers import json_answer, object_answer
from lago_engine.api.call import Call, event_of
from lago_engine.api.params import meta
from lago_engine.api.routes import Route, delete, get, post, update
from lago_engine.domain import commands as c
from lago_engine.domain.catalog.decide_plan_parts import (
    find_charge,
    find_filter,
    find_fixed_charge,
)
from lago_engine.domain.catalog.entities import Charge, ChargeFilter, FixedCharge, Plan
from lago_engine.domain.catalog.references import live_plan
from lago_engine.domain.events import PlanUpdated
from lago_engine.projecting.wire import Members, members, members_list

P = TypeVar("P", Charge, FixedCharge)


def answer_page(call: Call, plural: str, items: Sequence[Members]) -> web.Response:
    """The requested page of a list that is all there."""
    page = call.params.page
    shown = items[page.offset : page.offset + page.size]
    return json_answer({plural: shown, "meta": meta(page, len(items))})


def newest_first(parts: Sequence[P]) -> list[UUID]:
    """Ids in the order of lists: of the same instant, by id."""
    by_id = sorted(parts, key=lambda part: part.id)
    return [part.id for part in sorted(by_id, key=lambda part: part.created_at, reverse=True)]


def _plan(call: Call) -> Plan:
    return live_plan(call.organization, call.path("code"))


async def _shown(call: Call, plan_code: str, section: str) -> dict[str, Members]:
    """The items of a section of the plan's document, by id."""
    document = members(await call.stored("plan", plan_code))
    return {id_of(item): item for item in members_list(document[section])}


def id_of(item: Members) -> str:
    """The `lago_id` of an item that is JSON text."""
    return bytes(item["lago_id"]).decode().strip('"')


async def _updated(call: Call, command: c.OrganizationCommand) -> Plan:
    event = event_of(await call.execute(command), PlanUpdated)
    assert event is not None
    return event.plan


async def _optional_input(call: Call, wrapper: str) -> dict[str, Any]:
    """The object under the wrapper of a body that may be missing."""
    given = (await call.body()).get(wrapper)
    return given if isinstance(given, dict) else {}


# --- charges -----------------------------------------------------------------------------------


async def create_charge(call: Call) -> web.Response:
    given, code = await call.input("charge"), call.path("code")
    plan = await _updated(
        call,
        c.CreateCharge(organization_id=call.organization_id, plan_code=code, input=given),
    )
    return await _answer(call, plan, plan.charges[-1])


async def list_charges(call: Call) -> web.Response:
    plan = _plan(call)
    shown = await _shown(call, plan.code, "charges")
    return answer_page(call, "charges", [shown[str(key)] for key in newest_first(plan.charges)])


async def show_charge(call: Call) -> web.Response:
    plan = _plan(call)
    return await _answer(call, plan, find_charge(plan, call.path("charge_code")))


async def change_charge(call: Call) -> web.Response:
    given = await call.input("charge")
    charge = find_charge(_plan(call), call.path("charge_code"))
    command = c.UpdateCharge(
        organization_id=call.organization_id,
        plan_code=call.path("code"),
        code=charge.code,
        input=given,
    )
    return await _answer(call, await _updated(call, command), charge)


async def delete_charge(call: Call) -> web.Response:
    given, plan = await _optional_input(call, "charge"), _plan(call)
    charge = find_charge(plan, call.path("charge_code"))
    answer = await _answer(call, plan, charge)
    command = c.DeleteCharge(
        organization_id=call.organization_id,
        plan_code=plan.code,
        code=charge.code,
        input=given,
    )
    await call.execute(command)
    return answer


async def _answer(call: Call, plan: Plan, part: Charge | FixedCharge) -> web.Response:
    kind = "charge" if isinstance(part, Charge) else "fixed_charge"
    return object_answer(kind, (await _shown(call, plan.code, f"{kind}s"))[str(part.id)])


# --- filters -----------------------------------------------------------------------------------


def _charge(call: Call) -> tuple[Plan, Charge]:
    plan = _plan(call)
    return plan, find_charge(plan, call.path("charge_code"))


async def create_filter(call: Call) -> web.Response:
    given, (plan, charge) = await call.input("filter"), _charge(call)
    command = c.CreateChargeFilter(
        organization_id=call.organization_id,
        plan_code=plan.code,
        charge_code=charge.code,
        input=given,
    )
    plan = await _updated(call, command)
    return await _answer_filter(call, plan, find_charge(plan, charge.code).filters[-1])


async def list_filters(call: Call) -> web.Response:
    plan, charge = _charge(call)
    shown = await _shown_filters(call, plan)
    by_update = sorted(charge.filters, key=lambda each: each.updated_at)
    return answer_page(call, "filters", [shown[str(each.id)] for each in by_update])


async def show_filter(call: Call) -> web.Response:
    plan, charge = _charge(call)
    return await _answer_filter(call, plan, _filter(call, charge))


async def change_filter(call: Call) -> web.Response:
    given, (plan, charge) = await call.input("filter"), _charge(call)
    filter_ = _filter(call, charge)
    command = c.UpdateChargeFilter(
        organization_id=call.organization_id,
        plan_code=plan.code,
        charge_code=charge.code,
        filter_id=filter_.id,
        input=given,
    )
    return await _answer_filter(call, await _updated(call, command), filter_)


async def delete_filter(call: Call) -> web.Response:
    given, (plan, charge) = await _optional_input(call, "filter"), _charge(call)
    filter_ = _filter(call, charge)
    answer = await _answer_filter(call, plan, filter_)
    command = c.DeleteChargeFilter(
        organization_id=call.organization_id,
        plan_code=plan.code,
        charge_code=charge.code,
        filter_id=filter_.id,
        input=given,
    )
    await call.execute(command)
    return answer


def _filter(call: Call, charge: Charge) -> ChargeFilter:
    return find_filter(charge, call.uuid("filter_id", "charge_filter"))


async def _answer_filter(call: Call, plan: Plan, filter_: ChargeFilter) -> web.Response:
    return object_answer("filter", (await _shown_filters(call, plan))[str(filter_.id)])


async def _shown_filters(call: Call, plan: Plan) -> dict[str, Members]:
    charges = (await _shown(call, plan.code, "charges")).values()
    return {id_of(each): each for charge in charges for each in members_list(charge["filters"])}


# --- fixed charges -----------------------------------------------------------------------------


async def create_fixed_charge(call: Call) -> web.Response:
    given, code = await call.input("fixed_charge"), call.path("code")
    command = c.CreateFixedCharge(organization_id=call.organization_id, plan_code=code, input=given)
    plan = await _updated(call, command)
    return await _answer(call, plan, plan.fixed_charges[-1])


async def list_fixed_charges(call: Call) -> web.Response:
    plan = _plan(call)
    shown = await _shown(call, plan.code, "fixed_charges")
    ordered = [shown[str(key)] for key in newest_first(plan.fixed_charges)]
    return answer_page(call, "fixed_charges", ordered)


async def show_fixed_charge(call: Call) -> web.Response:
    plan = _plan(call)
    return await _answer(call, plan, find_fixed_charge(plan, call.path("fixed_charge_code")))


async def change_fixed_charge(call: Call) -> web.Response:
    given, plan = await call.input("fixed_charge"), _plan(call)
    fixed_charge = find_fixed_charge(plan, call.path("fixed_charge_code"))
    command = c.UpdateFixedCharge(
        organization_id=call.organization_id,
        plan_code=plan.code,
        code=fixed_charge.code,
        input=given,
    )
    return await _answer(call, await _updated(call, command), fixed_charge)


async def delete_fixed_charge(call: Call) -> web.Response:
    given, plan = await _optional_input(call, "fixed_charge"), _plan(call)
    fixed_charge = find_fixed_charge(plan, call.path("fixed_charge_code"))
    answer = await _answer(call, plan, fixed_charge)
    command = c.DeleteFixedCharge(
        organization_id=call.organization_id,
        plan_code=plan.code,
        code=fixed_charge.code,
        input=given,
    )
    await call.execute(command)
    return answer


CHARGES = "/plans/{code}/charges"
CHARGE = CHARGES + "/{charge_code}"
FILTERS = CHARGE + "/filters"
FILTER = FILTERS + "/{filter_id}"
FIXED_CHARGES = "/plans/{code}/fixed_charges"
FIXED_CHARGE = FIXED_CHARGES + "/{fixed_charge_code}"

ROUTES: tuple[Route, ...] = (
    post(CHARGES, create_charge),
    get(CHARGES, list_charges),
    get(CHARGE, show_charge),
    *update(CHARGE, change_charge),
    delete(CHARGE, delete_charge),
    post(FILTERS, create_filter),
    get(FILTERS, list_filters),
    get(FILTER, show_filter),
    *update(FILTER, change_filter),
    delete(FILTER, delete_filter),
    post(FIXED_CHARGES, create_fixed_charge),
    get(FIXED_CHARGES, list_fixed_charges),
    get(FIXED_CHARGE, show_fixed_charge),
    *update(FIXED_CHARGE, change_fixed_charge),
    delete(FIXED_CHARGE, delete_fixed_charge),
)
