"""`fee` documents of fees on no invoice, until an `advance_charges` invoice takes them (charges.md §9.1)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from lago_engine.domain.events import FeeCreated, FeeDeleted, FeePaymentStatusChanged
from lago_engine.domain.invoicing.model import Fee, StandaloneFee
from lago_engine.projecting import Context
from lago_engine.projecting.presenting import HIDDEN, FeeHidden
from lago_engine.projecting.wire import Members, encode, instant, members, sort_key, without
from lago_projections.fees import Holder, fee_object, fee_tax_object

_STAMPS = {"succeeded": "succeeded_at", "failed": "failed_at", "refunded": "refunded_at"}
_hidden_decoder = msgspec.json.Decoder(FeeHidden)


def apply_standalone(
    event: FeeCreated | FeePaymentStatusChanged | FeeDeleted, context: Context
) -> None:
    """Follow what happens to a fee on no invoice."""
    match event:
        case FeeCreated():
            _create(event.fee, context)
        case FeePaymentStatusChanged():
            _change_status(event, context)
        case FeeDeleted():
            context.delete("fee", str(event.fee_id))


def _create(created: StandaloneFee, context: Context) -> None:
    """Write the document of a new fee."""
    holder, fee = Holder.nothing(created), created.fee
    document = fee_object(fee, holder)
    document["applied_taxes"] = [fee_tax_object(tax, fee, holder) for tax in fee.taxes]
    hidden = FeeHidden(
        created_at=created.created_at,
        external_customer_id=created.external_customer_id,
        regroup=created.regroup,
    )
    _put(str(fee.id), document, hidden, context)


def _change_status(event: FeePaymentStatusChanged, context: Context) -> None:
    """Stamp the new status and clear the other stamps; a fee that was deleted at the same time stays so."""
    key = str(event.fee_id)
    body = context.get("fee", key)
    if body is None:
        return
    document = members(body)
    document["payment_status"] = event.payment_status
    for status, stamp in _STAMPS.items():
        changed = instant(event.changed_at) if status == event.payment_status else None
        document[stamp] = changed
    _put(key, document, _hidden_decoder.decode(document[HIDDEN]), context)


def put_on_invoice(fee: Fee, invoice_id: UUID, context: Context) -> Members:
    """Tell the document of a fee its invoice; what an invoice shows of the fee."""
    key = str(fee.id)
    document = members(context.require("fee", key))
    document["lago_invoice_id"] = invoice_id
    _put(key, document, _hidden_decoder.decode(document[HIDDEN]), context)
    return without(document, HIDDEN, "applied_taxes")


def _put(key: str, document: Members, hidden: FeeHidden, context: Context) -> None:
    document[HIDDEN] = hidden
    context.put(
        "fee",
        key,
        encode(document),
        parent=hidden.external_customer_id,
        sort_key=sort_key(hidden.created_at),
    )
