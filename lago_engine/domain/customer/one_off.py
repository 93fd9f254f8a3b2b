"""One-off invoices: add-ons sold by hand, finalized at once (invoices.md §10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from lago_engine.domain import events as e
from lago_engine.domain.catalog.entities import AddOn
from lago_engine.domain.customer.billing import finalize, hash_of, local_today, next_invoice_id
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.settings import applicable_taxes, issuing_settings
from lago_engine.domain.customer.subscription_input import check_payment_method
from lago_engine.domain.instants import parse_instant
from lago_engine.domain.invoicing.add_on_fees import Sale, sale_fee
from lago_engine.domain.invoicing.builder import assemble
from lago_engine.domain.invoicing.dates import immediate_dates
from lago_engine.domain.invoicing.work import InvoiceInput, Line
from lago_engine.domain.validation import MANDATORY, Checker
from lago_engine.errors import NotFound, ValidationFailed


def create_one_off(decision: Decision, given: Mapping[str, Any]) -> None:
    """`POST /invoices`: check in the order of the specification, then sell."""
    fees = given.get("fees")
    if not isinstance(fees, list) or not fees:
        raise NotFound("fees")
    add_ons = [_add_on(decision, fee) for fee in fees]
    check = Checker(given)
    check_payment_method(check)
    check.refuse_unbuilt("invoice_custom_section", "purchase_order_number")
    check.raise_failures()
    entity = given.get("billing_entity_code")
    if entity and entity != decision.organization.organization.billing_entity_code:
        raise NotFound("billing_entity")
    pairs = zip(add_ons, fees, strict=True)
    sales = tuple(_sale(decision, add_on, Checker(fee)) for add_on, fee in pairs)
    own = decision.state.profile.currency
    currency = check.currency("currency", missing=None if own else MANDATORY) or own
    check.raise_failures()
    assert currency is not None
    _follow_currency(decision, currency)
    collect = check.boolean("skip_psp") is not True
    check.raise_failures()
    issue(decision, sales, currency, at=decision.now, collect=collect)


def issue(
    decision: Decision, sales: Sequence[Sale], currency: str, *, at: datetime, collect: bool
) -> None:
    """Make and finalize the invoice of these sales. collect: ask the payment provider."""
    state, organization = decision.state, decision.organization
    term = issuing_settings(state.profile, organization.organization).net_payment_term
    given = InvoiceInput(
        invoice_id=next_invoice_id(decision),
        kind="one_off",
        organization=organization,
        profile=state.profile,
        currency=currency,
        items=(),
        dates=immediate_dates(local_today(decision, at), term),
        created_at=at,
    )
    lines = (_line(given, number, sale) for number, sale in enumerate(sales))
    draft = assemble(given, lines, now=at)
    inputs = hash_of([given.profile, sales, given.dates])
    finalize(decision, draft, inputs, at=at, collect=collect)


def _line(given: InvoiceInput, number: int, sale: Sale) -> Line:
    taxes = tuple(given.organization.taxes_by_id[tax_id] for tax_id in sale.tax_ids)
    return Line(sale_fee(given.invoice_id, number, sale, given.currency), taxes)


def _add_on(decision: Decision, fee: object) -> AddOn:
    code = fee.get("add_on_code") if isinstance(fee, Mapping) else None
    add_on = decision.organization.add_ons.get(str(code))
    if add_on is None:
        raise NotFound("add_on")
    return add_on


def _sale(decision: Decision, add_on: AddOn, check: Checker) -> Sale:
    start, end = _boundaries(check, decision.now)
    unit_amount = check.integer("unit_amount_cents", at_least=0)
    units = check.decimal("units", at_least=0)
    check.raise_failures()
    return Sale(
        add_on_id=add_on.id,
        add_on_code=add_on.code,
        add_on_name=add_on.name,
        add_on_description=add_on.description,
        invoice_display_name=check.text("invoice_display_name")
        or add_on.invoice_display_name
        or add_on.name,
        unit_amount_cents=add_on.amount_cents if unit_amount is None else unit_amount,
        units=Decimal(1) if units is None else units,
        description=check.text("description") or add_on.description,
        from_datetime=start,
        to_datetime=end,
        tax_ids=_tax_ids(decision, add_on, check),
    )


def _boundaries(check: Checker, now: datetime) -> tuple[datetime, datetime]:
    given = check.values.get("from_datetime"), check.values.get("to_datetime")
    if not any(given):
        return now, now
    start, end = (parse_instant(value) for value in given)
    if start is None or end is None or start > end:
        raise ValidationFailed.of("boundaries", "values_are_invalid")
    return start, end


def _tax_ids(decision: Decision, add_on: AddOn, check: Checker) -> tuple[UUID, ...]:
    """Those asked for, of which unknown ones are ignored; else of the add-on, the customer, the entity."""
    organization, codes = decision.organization, check.array("tax_codes")
    if codes:
        known = (organization.taxes.get(code) for code in codes if isinstance(code, str))
        return tuple({tax.id: None for tax in known if tax is not None})
    profile = decision.state.profile
    taxes = applicable_taxes(organization, add_on.tax_ids, profile.tax_ids)
    return tuple(tax.id for tax in taxes)


def _follow_currency(decision: Decision, currency: str) -> None:
    """The first invoice decides a blank currency of the customer."""
    profile = decision.state.profile
    if profile.currency is None:
        changed = replace(profile, currency=currency, updated_at=decision.now)
        decision.record(e.CustomerUpdated(customer=changed))
