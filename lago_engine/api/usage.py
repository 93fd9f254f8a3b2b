"""`/customers/{external_id}/current_usage` (metrics §11.1)."""

from __future__ import annotations

from aiohttp import web

from lago_engine.api.answers import object_answer
from lago_engine.api.call import Call
from lago_engine.api.params import Params
from lago_engine.api.routes import get
from lago_engine.domain.validation import NOT_SUPPORTED_YET
from lago_engine.errors import NotAllowed, ValidationFailed

CHARGE_FILTERS = (
    ("charge_id", "filter_by_charge_id"),
    ("charge_code", "filter_by_charge_code"),
    ("billable_metric_code", "filter_by_metric_code"),
)
"""Each with its alias; of several the first one given counts."""


async def current_usage(call: Call) -> web.Response:
    params = call.params
    if params.flag("full_usage"):
        raise NotAllowed("full_usage_not_allowed")
    _refuse_regrouping(params)
    usage = await call.engine.current_usage(
        call.organization_id,
        call.path("external_id"),
        params.text("external_subscription_id") or "",
        apply_taxes=params.flag("apply_taxes") is not False,
        charge_filter=charge_filter(params),
    )
    return object_answer("customer_usage", usage)


def charge_filter(params: Params) -> dict[str, str] | None:
    """Which charges are asked for: one of the names of CHARGE_FILTERS and its value."""
    for name, alias in CHARGE_FILTERS:
        value = params.text(name, alias)
        if value is not None:
            return {name: value}
    return None


def _refuse_regrouping(params: Params) -> None:
    """Usage is shown in the groups it is priced by, all of them."""
    asked = [
        name
        for name in ("group", "filter_by_group")
        if params.text(name) is not None or params.members(name)
    ]
    if params.flag("skip_grouping"):
        asked.append("skip_grouping")
    if asked:
        raise ValidationFailed({name: [NOT_SUPPORTED_YET] for name in asked})


ROUTES = (get("/customers/{external_id}/current_usage", current_usage),)
