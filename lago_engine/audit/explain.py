"""Why an invoice says what it says: each fee, its aggregate, and the usage events behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec

from lago_engine.audit.priced import bucket_of, priced_charges
from lago_engine.audit.segments import iter_segments
from lago_engine.domain.instants import parse_instant
from lago_engine.domain.rating.derivation import formulas
from lago_engine.domain.timezones import micros
from lago_engine.errors import NotFound
from lago_engine.metering import MeteredCharge, scan_events
from lago_engine.store.documents import Filter, Query
from lago_engine.store.port import Store

EVENTS_SHOWN_MAX = 1_000
EVENTS_READ_MAX = 1_000_000
"""Of a charge with several buckets, to find those of one of them."""


class UsageLine(msgspec.Struct, frozen=True, kw_only=True):
    """One usage event behind a fee."""

    transaction_id: str
    timestamp: str
    properties: Mapping[str, Any]


class FeeExplained(msgspec.Struct, frozen=True, kw_only=True):
    """A fee with its derivation in words; `events` are the newest `EVENTS_SHOWN_MAX` of `events_count`."""

    fee_id: str
    item: str
    amount_cents: int
    taxes_amount_cents: int
    derivation: list[str]
    window: tuple[str, str]
    events_count: int | None
    events: list[UsageLine]


class InvoiceExplained(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice with its derivation."""

    invoice_id: str
    number: str
    status: str
    currency: str
    total_amount_cents: int
    derivation: list[str]
    fees: list[FeeExplained]


def explain(store: Store, invoice: str) -> InvoiceExplained:
    """Explain an invoice by id or by number. Raises NotFound."""
    organization_id, document = _find(store, invoice)
    customer_id, invoice_id = UUID(document["customer"]["lago_id"]), UUID(document["lago_id"])
    charges = priced_charges(store, customer_id, invoice_id)
    fees = [
        _fee(store, organization_id, fee, charges, document["currency"]) for fee in document["fees"]
    ]
    return InvoiceExplained(
        invoice_id=document["lago_id"],
        number=document["number"],
        status=document["status"],
        currency=document["currency"],
        total_amount_cents=document["total_amount_cents"],
        derivation=list(_totals(document)),
        fees=fees,
    )


def _find(store: Store, invoice: str) -> tuple[UUID, dict[str, Any]]:
    """The document, whatever organization it belongs to."""
    organizations = [organization_id for organization_id, _, _ in _organizations(store)]
    for organization_id in organizations:
        body = store.documents.get(organization_id, "invoice", invoice)
        if body is None:
            number = Filter("number", "eq", invoice)
            bodies, _ = store.documents.list(
                organization_id, "invoice", Query(filters=(number,), limit=1)
            )
            body = bodies[0] if bodies else None
        if body is not None:
            return organization_id, msgspec.json.decode(body)
    raise NotFound("invoice")


def _organizations(store: Store) -> Iterator[tuple[UUID, str, bytes]]:
    return iter(store.documents.iter_kind("organization"))


def _totals(invoice: Mapping[str, Any]) -> Iterator[str]:
    fees = " + ".join(str(fee["amount_cents"]) for fee in invoice["fees"]) or "0"
    yield f"fees: {fees} = {invoice['fees_amount_cents']}"
    yield from _credits(invoice, before_taxes=True)
    for tax in invoice["applied_taxes"]:
        yield (
            f"tax {tax['tax_code']}: {tax['tax_rate']} % of {tax['fees_amount_cents']} "
            f"= {tax['amount_cents']} (half away from zero)"
        )
    yield f"taxes, rounded once on the sum: {invoice['taxes_amount_cents']}"
    yield from _credits(invoice, before_taxes=False)
    credit_notes = invoice["credit_notes_amount_cents"]
    yield (
        f"total: {invoice['sub_total_excluding_taxes_amount_cents']} + "
        f"{invoice['taxes_amount_cents']}{f' - {credit_notes}' if credit_notes else ''} "
        f"= {invoice['total_amount_cents']}"
    )


def _credits(invoice: Mapping[str, Any], *, before_taxes: bool) -> Iterator[str]:
    """What made the invoice cheaper, with the rule of each kind."""
    rules = {
        "coupon": "its share of what its fees still cost, half away from zero, never more than is left; "
        "spread over them in proportion, to five decimals",
        "credit_note": "its balance, at most what is left of the taxed total; oldest first",
        "invoice": "what was billed progressively",
    }
    for credit in invoice["credits"]:
        if credit["before_taxes"] is before_taxes:
            item = credit["item"]
            yield f"{item['type']} {item['code']}: -{credit['amount_cents']} ({rules[item['type']]})"


def _fee(
    store: Store,
    organization_id: UUID,
    fee: Mapping[str, Any],
    charges: Mapping[UUID, MeteredCharge],
    currency: str,
) -> FeeExplained:
    window = fee["from_date"], fee["to_date"]
    events: list[UsageLine] = []
    prorated = False
    if "event_transaction_id" in fee:
        events = _billed_event(store, organization_id, fee)
    elif fee["item"]["type"] == "charge" and fee["lago_true_up_parent_fee_id"] is None:
        charge = charges[UUID(fee["lago_charge_id"])]
        prorated = charge.keeps_changes
        events = _events(store, organization_id, fee, charge, window)
    return FeeExplained(
        fee_id=fee["lago_id"],
        item=_named(fee["item"]),
        amount_cents=fee["amount_cents"],
        taxes_amount_cents=fee["taxes_amount_cents"],
        derivation=list(_derivation(fee, currency, prorated=prorated)),
        window=window,
        events_count=fee["events_count"],
        events=events,
    )


def _named(item: Mapping[str, Any]) -> str:
    """What is billed, with its charge filter and group if it has any."""
    parts = [f"{item['type']} {item['code']}"]
    if item["filter_invoice_display_name"] is not None:
        parts.append(f"[{item['filter_invoice_display_name']}]")
    parts += [f"{key}={value or 'none'}" for key, value in item["grouped_by"].items()]
    return " ".join(parts)


def _derivation(fee: Mapping[str, Any], currency: str, *, prorated: bool) -> Iterator[str]:
    exact = f"{fee['precise_amount']} {currency} → {fee['amount_cents']} minor units"
    days = f"for the days of the window {fee['from_date']} … {fee['to_date']}"
    if fee["item"]["type"] == "subscription":
        yield f"plan price {fee['amount_details'].get('plan_amount_cents')}, {days}"
        yield f"exact amount {exact}"
    elif fee["item"]["type"] == "add_on":
        yield f"{fee['units']} × {fee['precise_unit_amount']} = {exact} (half away from zero)"
    elif fee["lago_true_up_parent_fee_id"] is not None:
        yield f"what the usage of the charge falls short of its minimum, {days}"
        yield f"exact amount {exact} (the minimum rounded half away from zero)"
    else:
        yield f"{fee['events_count']} usage events aggregate to {fee['units']} units"
        if prorated:
            yield f"each of them paid by the day, {days}"
        yield from _pricing(fee, exact)
    if Decimal(fee["precise_coupons_amount_cents"]):
        yield f"coupons: {fee['precise_coupons_amount_cents']} of {fee['amount_cents']} minor units"
    for tax in fee.get("applied_taxes", ()):
        yield f"tax {tax['tax_code']}: {tax['tax_rate']} % → {tax['amount_cents']}"


def _pricing(fee: Mapping[str, Any], exact: str) -> Iterator[str]:
    """The formulas of the charge model; without any, units times their price."""
    lines = list(formulas(fee["amount_details"], fee["units"], _PlainNumbers()))
    yield from lines
    product = "exact amount" if lines else f"{fee['units']} × {fee['precise_unit_amount']} ="
    yield f"{product} {exact} (half away from zero)"


class _PlainNumbers:
    """Numbers with the digits and in the form of the wire."""

    def quantity(self, number: str) -> str:
        return number

    def unit_price(self, major: str) -> str:
        return major

    def rate(self, percent: Decimal) -> str:
        return f"{percent} %"


def _billed_event(store: Store, organization_id: UUID, fee: Mapping[str, Any]) -> list[UsageLine]:
    """The one event of a fee in advance."""
    body = scan_events(
        organization_id,
        iter_segments(store),
        external_subscription_id=fee["external_subscription_id"],
        transaction_id=fee["event_transaction_id"],
        limit=1,
    )[1]
    return [
        UsageLine(
            transaction_id=event["transaction_id"],
            timestamp=event["timestamp"],
            properties=event["properties"],
        )
        for event in msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal).decode(body)
    ]


def _events(
    store: Store,
    organization_id: UUID,
    fee: Mapping[str, Any],
    charge: MeteredCharge,
    window: tuple[str, str],
) -> list[UsageLine]:
    """The newest events of the fee's bucket; of a recurring metric those before the window count too."""
    start, end = parse_instant(window[0]), parse_instant(window[1])
    assert start is not None
    assert end is not None
    body = scan_events(
        organization_id,
        iter_segments(store),
        code=fee["item"]["code"],
        external_subscription_id=fee["external_subscription_id"],
        from_us=None if charge.recurring else micros(start),
        # Documents show whole seconds; the window lasts to the end of its last one.
        to_us=micros(end) + 999_999,
        limit=EVENTS_READ_MAX if charge.filters or charge.pricing_group_keys else EVENTS_SHOWN_MAX,
    )[1]
    filter_id, group = fee["lago_charge_filter_id"], tuple(fee["item"]["grouped_by"].values())
    bucket = None if filter_id is None else UUID(filter_id), group
    events = (
        event
        for event in msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal).decode(body)
        if bucket_of(charge, event["properties"]) == bucket
    )
    return [
        UsageLine(
            transaction_id=event["transaction_id"],
            timestamp=event["timestamp"],
            properties=event["properties"],
        )
        for event in islice(events, EVENTS_SHOWN_MAX)
    ]
