"""Why an invoice says what it says: each fee, its aggregate, and the usage events behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec

from lago_engine.audit.priced import bucket_of, priced_charges
from lago_engine.audit.segments import iter_segments
from lago_engine.documents.stored import generated_document
from lago_engine.domain.instants import parse_instant
from lago_engine.domain.invoicing.issued import GeneratedDocument
from lago_engine.domain.rating.derivation import conversion, formulas
from lago_engine.domain.timezones import micros
from lago_engine.errors import NotFound
from lago_engine.metering import MeteredCharge, scan_events
from lago_engine.store.documents import Filter, Query
from lago_engine.store.port import Store

SegmentsOf = Callable[[UUID, str], Iterable[bytes]]
"""The usage segments that may hold events of (organization, external subscription id), in log order."""

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

    lago_id: str
    item: str
    amount_cents: int
    taxes_amount_cents: int
    derivation: list[str]
    from_date: str | None
    to_date: str | None
    events_count: int | None
    events: list[UsageLine]


class InvoiceExplained(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice with its derivation. document: its PDF, once it is made."""

    lago_id: str
    number: str
    status: str
    currency: str
    total_amount_cents: int
    derivation: list[str]
    fees: list[FeeExplained]
    document: GeneratedDocument | None


def explain(store: Store, invoice: str) -> InvoiceExplained:
    """Explain an invoice by id or by number, without an index of its usage. Raises NotFound."""
    organization_id, document = _find(store, invoice)
    return explain_document(store, organization_id, document, lambda *_: iter_segments(store))


def explain_stored(
    store: Store, organization_id: UUID, invoice_id: UUID, segments_of: SegmentsOf
) -> InvoiceExplained:
    """Explain an invoice of an organization by id. Raises NotFound."""
    body = store.documents.get(organization_id, "invoice", str(invoice_id))
    if body is None:
        raise NotFound("invoice")
    return explain_document(store, organization_id, msgspec.json.decode(body), segments_of)


def explain_document(
    store: Store, organization_id: UUID, document: Mapping[str, Any], segments_of: SegmentsOf
) -> InvoiceExplained:
    """Explain an invoice that is at hand as its stored document. Blocking."""
    customer_id, invoice_id = UUID(document["customer"]["lago_id"]), UUID(document["lago_id"])
    charges = priced_charges(store, customer_id, invoice_id)
    fees = [
        _fee(organization_id, fee, charges, document["currency"], segments_of)
        for fee in document["fees"]
    ]
    return InvoiceExplained(
        lago_id=document["lago_id"],
        number=document["number"],
        status=document["status"],
        currency=document["currency"],
        total_amount_cents=document["total_amount_cents"],
        derivation=list(_totals(document)),
        fees=fees,
        document=generated_document(store, organization_id, invoice_id),
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
    if prepaid := invoice["prepaid_credit_amount_cents"]:
        yield f"prepaid credits: -{prepaid} (at most what is left after credit notes)"
    deducted = "".join(
        f" - {cents}" for cents in (invoice["credit_notes_amount_cents"], prepaid) if cents
    )
    yield (
        f"total: {invoice['sub_total_excluding_taxes_amount_cents']} + "
        f"{invoice['taxes_amount_cents']}{deducted} = {invoice['total_amount_cents']}"
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
    organization_id: UUID,
    fee: Mapping[str, Any],
    charges: Mapping[UUID, MeteredCharge],
    currency: str,
    segments_of: SegmentsOf,
) -> FeeExplained:
    events: list[UsageLine] = []
    prorated = False
    if "event_transaction_id" in fee:
        events = _billed_event(organization_id, fee, segments_of)
    elif fee["item"]["type"] == "charge" and fee["lago_true_up_parent_fee_id"] is None:
        charge = charges[UUID(fee["lago_charge_id"])]
        prorated = charge.keeps_changes
        events = _events(organization_id, fee, charge, segments_of)
    return FeeExplained(
        lago_id=fee["lago_id"],
        item=_named(fee["item"]),
        amount_cents=fee["amount_cents"],
        taxes_amount_cents=fee["taxes_amount_cents"],
        derivation=list(_derivation(fee, currency, prorated=prorated)),
        from_date=fee["from_date"],
        to_date=fee["to_date"],
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
    elif fee["item"]["type"] == "commitment":
        yield f"what the fees of the window fall short of the minimum commitment, {days}"
        yield f"exact amount {exact} (half away from zero)"
    elif fee["item"]["type"] == "add_on":
        yield f"{fee['units']} × {fee['precise_unit_amount']} = {exact} (half away from zero)"
    elif fee["item"]["type"] == "fixed_charge":
        yield f"{fee['units']} units of the fixed charge, {days}"
        yield from _pricing(fee, exact)
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
    unit = fee["pricing_unit_details"]
    lines = list(formulas(fee["amount_details"], fee["units"], _PlainNumbers()))
    if unit is not None:
        lines.append(f"{conversion(unit, _PlainNumbers())} (of {unit['pricing_unit_code']})")
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


def _billed_event(
    organization_id: UUID, fee: Mapping[str, Any], segments_of: SegmentsOf
) -> list[UsageLine]:
    """The one event of a fee in advance."""
    body = scan_events(
        organization_id,
        segments_of(organization_id, fee["external_subscription_id"]),
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
    organization_id: UUID,
    fee: Mapping[str, Any],
    charge: MeteredCharge,
    segments_of: SegmentsOf,
) -> list[UsageLine]:
    """The newest events of the fee's bucket; of a recurring metric those before the window count too."""
    start, end = parse_instant(fee["from_date"]), parse_instant(fee["to_date"])
    assert start is not None
    assert end is not None
    body = scan_events(
        organization_id,
        segments_of(organization_id, fee["external_subscription_id"]),
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
