"""`/wallet_transactions` (coupons_wallets_credit_notes §6)."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from aiohttp import web

from lago_engine.api import filters
from lago_engine.api.answers import json_answer, object_answer
from lago_engine.api.call import Call
from lago_engine.api.filters import Condition
from lago_engine.api.params import Params
from lago_engine.api.routes import get, post
from lago_engine.domain.catalog.references import uuid_or_none
from lago_engine.domain.commands import CreateWalletTransactions
from lago_engine.errors import ValidationFailed
from lago_engine.projecting.wire import Members, members, read_string
from lago_engine.store.query import Filter

KIND = "wallet_transaction"
LINK = "wallet_consumption"
STATUSES = ("pending", "settled", "failed")
TYPES = ("inbound", "outbound")
TRANSACTION_STATUSES = ("purchased", "granted", "voided", "invoiced")


async def create(call: Call) -> web.Response:
    given = await call.input(KIND)
    wallet_id = uuid_or_none(given.get("wallet_id"))
    documents = call.engine.store.documents
    body = None
    if wallet_id is not None:
        key = str(wallet_id)
        body = await call.read(documents.get, call.organization_id, "wallet", key)
    if wallet_id is None or body is None:
        raise ValidationFailed.of("wallet_id", "wallet_not_found")
    owner = UUID(read_string(members(body)["lago_customer_id"]))
    command = CreateWalletTransactions(
        organization_id=call.organization_id,
        customer_id=owner,
        wallet_id=wallet_id,
        input=given,
    )
    shown = [await _shown(call, str(made)) for made in await call.book(command)]
    return json_answer({"wallet_transactions": shown})


async def _shown(call: Call, key: str) -> Members:
    return call.present(KIND, await call.stored(KIND, key))


async def show(call: Call) -> web.Response:
    return object_answer(KIND, await _shown(call, str(call.uuid("lago_id", KIND))))


async def index(call: Call) -> web.Response:
    """The transactions of a wallet."""
    wallet_id = str(call.uuid("lago_id", "wallet"))
    await call.stored("wallet", wallet_id)
    conditions = transaction_filters(call.params)
    return await call.answer_list(
        KIND,
        "wallet_transactions",
        filters=conditions,
        parent=wallet_id,
        omit=("applied_invoice_custom_sections",),
    )


def transaction_filters(params: Params) -> Iterator[Condition]:
    """The filters of `GET /wallets/:id/wallet_transactions`."""
    for name, known in (
        ("status", STATUSES),
        ("transaction_type", TYPES),
        ("transaction_status", TRANSACTION_STATUSES),
    ):
        yield from filters.equals(name, params.choice(name, among=known))
    yield from filters.metadata(params.members("metadata"))


async def consumptions(call: Call) -> web.Response:
    return await _links(call, "inbound", "outbound", "wallet_transaction_consumptions")


async def fundings(call: Call) -> web.Response:
    return await _links(call, "outbound", "inbound", "wallet_transaction_fundings")


async def _links(call: Call, side: str, other: str, plural: str) -> web.Response:
    """What was taken of a transaction, or where it took from, each with the other side."""
    transaction = await _shown(call, str(call.uuid("lago_id", KIND)))
    if read_string(transaction["transaction_type"]) != side:
        raise ValidationFailed.of("transaction_type", "invalid_transaction_type")
    documents, organization_id = call.engine.store.documents, call.organization_id

    def link(body: bytes) -> Members:
        document = members(body)
        key = read_string(document.pop(f"{other}_id"))
        del document[f"{side}_id"]
        opposite = documents.get(organization_id, KIND, key)
        assert opposite is not None, "a link has two ends"
        return {**document, "wallet_transaction": call.present(KIND, opposite)}

    return await call.answer_list(
        LINK,
        plural,
        filters=(Filter(f"{side}_id", "eq", read_string(transaction["lago_id"])),),
        parent=read_string(transaction["lago_wallet_id"]),
        show=link,
    )


ROUTES = (
    post("/wallet_transactions", create),
    get("/wallet_transactions/{lago_id}", show),
    get("/wallet_transactions/{lago_id}/consumptions", consumptions),
    get("/wallet_transactions/{lago_id}/fundings", fundings),
    get("/wallets/{lago_id}/wallet_transactions", index),
)
