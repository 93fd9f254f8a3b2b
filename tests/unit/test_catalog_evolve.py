from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from catalog_kit import NOW, Catalog, attach

from lago_engine.actors.streams import CUSTOMER_EVENTS
from lago_engine.domain import commands
from lago_engine.domain import events as facts
from lago_engine.domain.catalog import decide, evolve
from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.ids import customer_id, derive
from lago_engine.domain.invoicing.model import Invoice

PLAN: dict[str, Any] = {
    "name": "P",
    "code": "p",
    "interval": "monthly",
    "amount_cents": 1,
    "amount_currency": "EUR",
    "pay_in_advance": False,
}


def a_customer(catalog: Catalog) -> CustomerProfile:
    organization_id = catalog.folded.organization.id
    return CustomerProfile(
        id=customer_id(organization_id, "c1"),
        organization_id=organization_id,
        external_id="c1",
        sequential_id=1,
        slug="ACM-7F21-001",
        billing_entity_code="acme_cloud",
        created_at=NOW,
        updated_at=NOW,
    )


def an_invoice(customer: CustomerProfile, entity_sequential_id: int | None) -> Invoice:
    day = date(2026, 3, 1)
    return Invoice(
        id=derive(customer.id, "invoice", 1),
        customer_id=customer.id,
        customer=customer,
        billing_entity_code="acme_cloud",
        status="finalized",
        payment_status="pending",
        currency="EUR",
        number="ACM-7F21-202603-004",
        sequential_id=None,
        entity_sequential_id=entity_sequential_id,
        issuing_date=day,
        expected_finalization_date=day,
        payment_due_date=day,
        net_payment_term=0,
        created_at=NOW,
        updated_at=NOW,
        links=(),
        fees=(),
        applied_taxes=(),
        fees_amount_cents=0,
        sub_total_excluding_taxes_amount_cents=0,
        taxes_amount_cents=0,
        taxes_rate=Decimal(0),
        sub_total_including_taxes_amount_cents=0,
        total_amount_cents=0,
    )


def leaves(base: type) -> Iterator[type]:
    """The subclasses, of any depth, that nothing else builds on."""
    for kind in base.__subclasses__():
        yield from leaves(kind) if kind.__subclasses__() else (kind,)


def test_every_command_and_every_fact_has_its_place() -> None:
    """A command without a decision, or a fact nobody thought of, cannot slip in."""
    decided = {*decide._DECISIONS, commands.CreateOrganization}
    assert decided == set(leaves(commands.OrganizationCommand))
    heard = {kind for kind in evolve._evolve.registry if kind not in (object, facts.DomainEvent)}
    # Of what happens to a customer the organization need not take note.
    elsewhere = {facts.OrganizationCreated, *CUSTOMER_EVENTS}
    assert heard | elsewhere == set(facts.EVENT_TYPES)


def test_ids_are_counted_once_per_created_item() -> None:
    catalog = Catalog()
    assert catalog.folded.items_count == 1
    metric = catalog.one(
        commands.CreateBillableMetric,
        input={"name": "m", "code": "m", "aggregation_type": "count_agg"},
    ).metric
    charge = {"billable_metric_id": str(metric.id), "charge_model": "standard"}
    catalog.do(commands.CreatePlan, input={**PLAN, "charges": [charge, charge]})
    assert catalog.folded.items_count == 5
    kept = {"id": str(catalog.folded.plans["p"].charges[0].id)}
    catalog.do(commands.UpdatePlan, code="p", input={"charges": [kept, charge, charge]})
    assert catalog.folded.items_count == 7
    catalog.do(commands.UpdatePlan, code="p", input={"charges": []})
    catalog.do(commands.DeletePlan, code="p")
    catalog.do(commands.DeleteBillableMetric, code="m")
    assert catalog.folded.items_count == 7
    versions = catalog.folded.plan_versions.values()
    charges = {charge.id for plan in versions for charge in plan.charges}
    assert len(charges) == 4


def test_an_earlier_state_is_not_touched_by_later_facts() -> None:
    catalog = Catalog()
    catalog.do(commands.CreatePlan, input=PLAN)
    before = catalog.folded
    copy = msgspec.structs.asdict(before)
    catalog.do(commands.UpdatePlan, code="p", input={"code": "q"})
    catalog.do(commands.CreateTax, input={"name": "t", "code": "t", "rate": 1})
    catalog.do(commands.DeletePlan, code="q")
    assert msgspec.structs.asdict(before) == copy
    assert list(before.plans) == ["p"]


def test_a_code_may_wander_between_items() -> None:
    catalog = Catalog()
    for code in ("a", "b"):
        catalog.do(commands.CreateTax, input={"name": code, "code": code, "rate": 1})
    catalog.do(commands.UpdateTax, code="a", input={"code": "c"})
    catalog.do(commands.UpdateTax, code="b", input={"code": "a"})
    assert {code: tax.name for code, tax in catalog.folded.taxes.items()} == {"c": "a", "a": "b"}


def test_customers_are_counted_and_plans_are_attached_once() -> None:
    catalog = Catalog()
    plan = catalog.one(commands.CreatePlan, input=PLAN).plan
    catalog.see(facts.CustomerCreated(customer=a_customer(catalog)))
    assert catalog.folded.customers_count == 1
    attach(catalog, plan)
    attached = catalog.folded
    assert attached.attached_plans == {plan.id}
    attach(catalog, plan)
    assert catalog.folded is attached


@pytest.mark.parametrize(("number", "sequence"), [(4, 4), (None, 0)])
def test_a_numbered_invoice_advances_the_entity_s_sequence(
    number: int | None, sequence: int
) -> None:
    catalog = Catalog()
    invoice = an_invoice(a_customer(catalog), number)
    catalog.see(facts.InvoiceFinalized(invoice=invoice, inputs_hash="00"))
    assert catalog.folded.entity_sequence == sequence


def test_other_facts_of_customers_change_nothing() -> None:
    catalog = Catalog()
    before = catalog.folded
    after = evolve_organization(before, facts.CustomerUpdated(customer=a_customer(catalog)))
    assert after is before
