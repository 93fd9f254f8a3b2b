"""`/wallets`, by id and, of a customer, by code (coupons_wallets_credit_notes §4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal
from uuid import UUID

from aiohttp import web

from lago_engine.api import filters
from lago_engine.api.answers import json_answer, object_answer
from lago_engine.api.bodies import as_text
from lago_engine.api.call import NEWEST_FIRST, Call, event_of
from lago_engine.api.filters import Condition
from lago_engine.api.params import Params, meta
from lago_engine.api.routes import delete, get, post, update
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import (
    ChangeWalletMetadata,
    CreateWallet,
    CustomerCommand,
    TerminateWallet,
    UpdateWallet,
)
from lago_engine.domain.events import WalletCreated
from lago_engine.domain.money import CURRENCIES
from lago_engine.errors import NotFound, ValidationFailed
from lago_engine.projecting.wire import Members, members, read_string
from lago_engine.store.query import Query

KIND = "wallet"
Change = Literal["replace", "merge", "drop", "drop_key"]


# --- which wallet ------------------------------------------------------------------------------


async def _of_path(call: Call) -> tuple[UUID, UUID]:
    """Customer and wallet that the path names. Raises NotFound."""
    if "lago_id" in call.request.match_info:
        wallet_id = call.uuid("lago_id", KIND)
        body = members(await call.stored(KIND, str(wallet_id)))
        return UUID(read_string(body["lago_customer_id"])), wallet_id
    external_id = call.path("external_id")
    wallet_id = await _by_code(call, external_id, call.path("code"))
    return call.organization.customer_id(external_id), wallet_id


async def _by_code(call: Call, external_id: str, code: str) -> UUID:
    """The active wallet with the code, else the latest that had it."""
    state = await call.engine.customer(call.organization_id, external_id)
    if state is None:
        raise NotFound("customer")
    named = [wallet for wallet in state.wallets.values() if wallet.code == code]
    if not named:
        raise NotFound(KIND)
    return max(named, key=lambda wallet: (wallet.status == "active", wallet.created_at)).id


async def answer_wallet(call: Call, wallet_id: UUID) -> web.Response:
    """A wallet with its ongoing balance of now."""
    return object_answer(KIND, (await shown_wallets(call, [await stored(call, wallet_id)]))[0])


async def stored(call: Call, wallet_id: UUID) -> bytes:
    return await call.stored(KIND, str(wallet_id))


async def shown_wallets(call: Call, bodies: list[bytes]) -> list[Members]:
    """Stored wallets as they are now; usage is asked for once per customer."""
    documents = [call.present(KIND, body) for body in bodies]
    ongoing: dict[str, Mapping[UUID, Mapping[str, Any]]] = {}
    for document in documents:
        external_id = read_string(document["external_customer_id"])
        if read_string(document["status"]) != "active":
            continue
        if external_id not in ongoing:
            ongoing[external_id] = await call.engine.ongoing_balances(
                call.organization_id, external_id
            )
        document.update(ongoing[external_id].get(UUID(read_string(document["lago_id"])), {}))
    return documents


# --- lists -------------------------------------------------------------------------------------


async def index(call: Call) -> web.Response:
    external_id = call.params.text("external_customer_id")
    if external_id is not None:
        await call.stored("customer", external_id)
    return await _answer_wallets(call, external_id)


async def customer_index(call: Call) -> web.Response:
    external_id = call.path("external_id")
    await call.stored("customer", external_id)
    return await _answer_wallets(call, external_id)


async def _answer_wallets(call: Call, parent: str | None) -> web.Response:
    page = call.params.page
    query = Query(
        filters=tuple(wallet_filters(call.params, call.organization)),
        parent=parent,
        order=NEWEST_FIRST,
        offset=page.offset,
        limit=page.size,
    )
    bodies, total = await call.page(KIND, query)
    return json_answer({"wallets": await shown_wallets(call, bodies), "meta": meta(page, total)})


def wallet_filters(params: Params, organization: OrganizationState) -> Iterator[Condition]:
    """The filters of `GET /wallets`."""
    yield from filters.equals("currency", params.choice("currency", among=CURRENCIES))
    yield from filters.billing_entities(params, organization)


# --- one wallet --------------------------------------------------------------------------------


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    external_id = as_text(given.get("external_customer_id"))
    if await call.engine.customer(call.organization_id, external_id) is None:
        raise ValidationFailed.of("customer", "customer_not_found")
    return await _create(call, external_id, given)


async def customer_create(call: Call) -> web.Response:
    return await _create(call, call.path("external_id"), await call.input(KIND))


async def _create(call: Call, external_id: str, given: Mapping[str, Any]) -> web.Response:
    command = CreateWallet(
        organization_id=call.organization_id,
        customer_id=call.organization.customer_id(external_id),
        input=given,
    )
    event = event_of(await call.execute(command), WalletCreated)
    assert event is not None
    return await answer_wallet(call, event.wallet.id)


async def show(call: Call) -> web.Response:
    _, wallet_id = await _of_path(call)
    return await answer_wallet(call, wallet_id)


async def change(call: Call) -> web.Response:
    return await _ask(call, UpdateWallet, input=await call.input(KIND))


async def destroy(call: Call) -> web.Response:
    return await _ask(call, TerminateWallet)


async def _ask(call: Call, kind: type[CustomerCommand], **given: Any) -> web.Response:
    customer_id, wallet_id = await _of_path(call)
    members = {"customer_id": customer_id, "wallet_id": wallet_id, **given}
    await call.execute(kind(organization_id=call.organization_id, **members))
    return await answer_wallet(call, wallet_id)


# --- its metadata ------------------------------------------------------------------------------


async def replace_metadata(call: Call) -> web.Response:
    return await _metadata(call, "replace", {"metadata": (await call.body()).get("metadata")})


async def merge_metadata(call: Call) -> web.Response:
    return await _metadata(call, "merge", {"metadata": (await call.body()).get("metadata")})


async def drop_metadata(call: Call) -> web.Response:
    return await _metadata(call, "drop", {})


async def drop_metadata_key(call: Call) -> web.Response:
    return await _metadata(call, "drop_key", {"key": call.path("key")})


async def _metadata(call: Call, change: Change, given: dict[str, Any]) -> web.Response:
    customer_id, wallet_id = await _of_path(call)
    command = ChangeWalletMetadata(
        organization_id=call.organization_id,
        customer_id=customer_id,
        wallet_id=wallet_id,
        change=change,
        input=given,
    )
    await call.execute(command)
    document = members(await stored(call, wallet_id))
    return json_answer({"metadata": document.get("metadata")})


BY_CODE = "/customers/{external_id}/wallets/{code}"

ROUTES = (
    post("/wallets", create),
    get("/wallets", index),
    post("/customers/{external_id}/wallets", customer_create),
    get("/customers/{external_id}/wallets", customer_index),
    *(
        route
        for path in ("/wallets/{lago_id}", BY_CODE)
        for route in (
            get(path, show),
            *update(path, change),
            delete(path, destroy),
            post(f"{path}/metadata", replace_metadata),
            *update(f"{path}/metadata", merge_metadata),
            delete(f"{path}/metadata", drop_metadata),
            delete(f"{path}/metadata/{{key}}", drop_metadata_key),
        )
    ),
)
