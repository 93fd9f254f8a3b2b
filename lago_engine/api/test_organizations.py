"""`/test_clock/organizations`: isolated organizations with a virtual clock (test_clocks §1)."""

from __future__ import annotations

import hashlib
import hmac

from aiohttp import web

from lago_engine.api import bodies
from lago_engine.api.answers import json_answer
from lago_engine.api.auth import presented_key
from lago_engine.api.call import ENGINE, SETTINGS, Call, new_uuid, read
from lago_engine.api.routes import Route, put
from lago_engine.domain.commands import CreateOrganization, UpdateOrganization
from lago_engine.errors import NotFound
from lago_engine.projecting.presenting import present

KIND = "organization"
CHANGEABLE = ("premium", "premium_integrations", "eu_tax_management")


def check_admin(request: web.Request) -> None:
    """Where an admin key is configured the request must present it. Raises HTTPUnauthorized."""
    admin_key = request.app[SETTINGS].admin_key
    if admin_key is None:
        return
    key = presented_key(request.headers.get("Authorization")) or ""
    if not hmac.compare_digest(key.encode(), admin_key.encode()):
        raise web.HTTPUnauthorized


async def create(request: web.Request) -> web.Response:
    """A new test organization, with the one answer that shows its API key."""
    check_admin(request)
    payload = bodies.decode_object(await bodies.read_body(request))
    organization_id, api_key = new_uuid(), str(new_uuid())
    engine = request.app[ENGINE]
    await engine.execute(
        CreateOrganization(
            organization_id=organization_id,
            input=bodies.unwrap(payload, KIND),
            key_hash=hashlib.sha256(api_key.encode()).hexdigest(),
            key_last_four=api_key[-4:],
            hmac_key=str(new_uuid()),
            test=True,
        ),
        actor="admin",
    )
    body = await read(
        request, engine.store.documents.get, organization_id, KIND, str(organization_id)
    )
    assert body is not None, "an organization that was created has a document"
    now, state = engine.now(organization_id), engine.organization(organization_id)
    return json_answer({KIND: present(KIND, body, state, now), "api_key": api_key})


async def change(call: Call) -> web.Response:
    given = await call.input(KIND)
    if call.uuid("lago_id", KIND) != call.organization_id or not call.is_test:
        raise NotFound(KIND)
    settings = {name: given[name] for name in CHANGEABLE if name in given}
    await call.execute(UpdateOrganization(organization_id=call.organization_id, input=settings))
    return await call.answer(KIND, str(call.organization_id))


ROUTES = (
    Route("POST", "/test_clock/organizations", create),
    put("/test_clock/organizations/{lago_id}", change),
)
