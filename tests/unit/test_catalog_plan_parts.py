"""One charge, filter, fixed charge or metadata key of a plan at a time; commitment and thresholds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from catalog_kit import Catalog, attach

from lago_engine.domain import commands as c
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.events import PlanUpdated
from lago_engine.errors import NotFound

PLAN: dict[str, Any] = {
    "name": "Growth", "code": "growth", "interval": "monthly", "amount_cents": 9900,
    "amount_currency": "USD", "pay_in_advance": False,
}  # fmt: skip
EU = {"region": ["eu"]}
STANDARD = {"charge_model": "standard", "properties": {"amount": "2"}}


class Priced:
    """A catalog with a metric, an add-on, a tax and a plan of one charge and one fixed charge."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        metric = self.catalog.one(
            c.CreateBillableMetric,
            input={
                "name": "Calls", "code": "calls", "aggregation_type": "count_agg",
                "filters": [{"key": "region", "values": ["eu", "us"]}],
            },
        ).metric  # fmt: skip
        self.metric_id = str(metric.id)
        self.tax = self.catalog.one(
            c.CreateTax, input={"name": "VAT", "code": "vat", "rate": 20}
        ).tax
        add_on = {"name": "Seat", "code": "seat", "amount_cents": 500, "amount_currency": "USD"}
        self.add_on_id = str(self.catalog.one(c.CreateAddOn, input=add_on).add_on.id)
        charge = {"billable_metric_id": self.metric_id, **STANDARD}
        fixed_charge = {"add_on_id": self.add_on_id, "units": 5, **STANDARD}
        given = {**PLAN, "charges": [charge], "fixed_charges": [fixed_charge]}
        self.first = self.catalog.one(c.CreatePlan, input=given).plan

    @property
    def plan(self) -> Plan:
        return self.catalog.folded.plans["growth"]

    def do(self, kind: type[c.OrganizationCommand], **members: Any) -> PlanUpdated:
        event = self.catalog.one(kind, plan_code="growth", **members)
        assert isinstance(event, PlanUpdated)
        assert event.plan == self.plan
        return event

    def refuses(self, kind: type[c.OrganizationCommand], **members: Any) -> Any:
        return self.catalog.refuses(kind, plan_code="growth", **members)

    def misses(self, kind: type[c.OrganizationCommand], **members: Any) -> str:
        with pytest.raises(NotFound) as missing:
            self.catalog.do(kind, **{"plan_code": "growth", **members})
        return missing.value.code


@pytest.fixture
def priced() -> Priced:
    return Priced()


# --- charges -----------------------------------------------------------------------------------


def test_a_charge_joins_a_plan_in_silence(priced: Priced) -> None:
    given = {"billable_metric_id": priced.metric_id, "code": "more", **STANDARD}
    event = priced.do(c.CreateCharge, input={**given, "cascade_updates": True})
    assert (event.announced, event.cascade, event.plan.version) == (False, True, 2)
    assert [charge.code for charge in event.plan.charges] == ["calls", "more"]
    assert not priced.do(c.CreateCharge, input={**given, "code": "again"}).cascade


def test_a_charge_of_its_own_path_needs_a_code_and_a_known_metric(priced: Priced) -> None:
    given = {"billable_metric_id": priced.metric_id, **STANDARD}
    assert priced.refuses(c.CreateCharge, input=given) == {"code": ["value_is_mandatory"]}
    taken = {**given, "code": "calls"}
    assert priced.refuses(c.CreateCharge, input=taken) == {"code": ["value_already_exist"]}
    unknown = {**given, "billable_metric_id": str(priced.first.id)}
    assert priced.misses(c.CreateCharge, input=unknown) == "billable_metric_not_found"
    assert priced.misses(c.CreateCharge, plan_code="none", input=given) == "plan_not_found"
    untaxed = {**given, "code": "x", "tax_codes": ["none"]}
    assert priced.misses(c.CreateCharge, input=untaxed) == "tax_not_found"
    assert priced.plan.version == 1


def test_an_update_of_a_charge_is_a_patch(priced: Priced) -> None:
    event = priced.do(c.UpdateCharge, code="calls", input={"invoice_display_name": "Requests"})
    assert event.plan.charges[0].properties == {"amount": "2"}
    renamed = priced.do(c.UpdateCharge, code="calls", input={"code": "requests"}).plan.charges[0]
    assert (renamed.code, renamed.invoice_display_name) == ("requests", "Requests")
    attach(priced.catalog, priced.plan)
    kept = priced.do(c.UpdateCharge, code="requests", input={"code": "x"}).plan.charges[0]
    assert kept.code == "requests"
    assert priced.misses(c.UpdateCharge, code="none", input={"code": "x"}) == "charge_not_found"


def test_a_charge_accepts_a_target_wallet_until_told_otherwise(priced: Priced) -> None:
    """Also while the plan is attached."""
    attach(priced.catalog, priced.plan)
    for given, expected in ((True, True), (None, True), (False, False)):
        event = priced.do(c.UpdateCharge, code="calls", input={"accepts_target_wallet": given})
        assert event.plan.charges[0].accepts_target_wallet is expected


def test_a_deleted_charge_is_gone_and_its_code_is_free(priced: Priced) -> None:
    assert priced.do(c.DeleteCharge, code="calls", input={}).plan.charges == ()
    assert priced.misses(c.DeleteCharge, code="calls", input={}) == "charge_not_found"
    given = {"billable_metric_id": priced.metric_id, "code": "calls", **STANDARD}
    made = priced.do(c.CreateCharge, input=given).plan.charges[0]
    assert made.id != priced.first.charges[0].id


# --- filters -----------------------------------------------------------------------------------


def test_filter_life(priced: Priced) -> None:
    given = {"values": EU, "properties": {"amount": "1"}}
    made = priced.do(c.CreateChargeFilter, charge_code="calls", input=given).plan.charges[0]
    (filter_,) = made.filters
    assert filter_.updated_at == filter_.created_at
    at = {"charge_code": "calls", "filter_id": filter_.id}
    changes = {"values": {"region": ["us"]}, "invoice_display_name": "Europe"}
    (changed,) = priced.do(c.UpdateChargeFilter, **at, input=changes).plan.charges[0].filters
    assert changed.values == filter_.values
    assert changed.properties == {"amount": "1"}
    assert changed.invoice_display_name == "Europe"
    repriced = {"properties": {"amount": "3", "presentation_group_keys": [{"value": "x"}]}}
    (changed,) = priced.do(c.UpdateChargeFilter, **at, input=repriced).plan.charges[0].filters
    assert (changed.properties, changed.invoice_display_name) == ({"amount": "3"}, "Europe")
    wrong = priced.refuses(c.UpdateChargeFilter, **at, input={"properties": {"amount": 1}})
    assert wrong == {"properties": ["invalid_amount"]}
    assert priced.do(c.DeleteChargeFilter, **at, input={}).plan.charges[0].filters == ()
    for kind in (c.UpdateChargeFilter, c.DeleteChargeFilter):
        assert priced.misses(kind, **at, input={"x": 1}) == "charge_filter_not_found"


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"values": {}}, {"values": ["value_is_mandatory"]}),
        ({"values": {"region": ["mars"]}}, {"values": ["value_is_invalid"]}),
        (
            {"values": {"planet": ["mars"]}},
            {
                "billable_metric_filter": ["relation_must_exist"],
                "values": ["value_is_invalid"],
            },
        ),
        ({"properties": {"amount": "-1"}}, {"properties": ["invalid_amount"]}),
    ],
)
def test_a_wrong_filter_is_refused(
    priced: Priced, fields: dict[str, Any], details: dict[str, Any]
) -> None:
    given = {"values": EU, "properties": {"amount": "1"}, **fields}
    assert priced.refuses(c.CreateChargeFilter, charge_code="calls", input=given) == details
    assert priced.misses(c.CreateChargeFilter, charge_code="x", input=given) == "charge_not_found"


# --- fixed charges -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"units": -1}, {"units": ["value_is_out_of_range"]}),
        ({"charge_model": "package"}, {"charge_model": ["value_is_invalid"]}),
        (
            {"charge_model": None},
            {"charge_model": ["value_is_mandatory", "value_is_invalid"]},
        ),
        ({"properties": {"amount": 5}}, {"properties": ["invalid_amount"]}),
        (
            {"charge_model": "volume", "properties": {}, "pay_in_advance": True},
            {"pay_in_advance": ["invalid_charge_model"]},
        ),
        (
            {"charge_model": "graduated", "properties": {}, "pay_in_advance": 1, "prorated": 1},
            {"prorated": ["invalid_charge_model"]},
        ),
        ({"code": "seat"}, {"code": ["value_already_exist"]}),
        ({"code": ""}, {"code": ["value_is_mandatory"]}),
        ({"add_on_id": None}, {"add_on_id": ["value_is_mandatory"]}),
    ],
)
def test_a_wrong_fixed_charge_is_refused(
    priced: Priced, fields: dict[str, Any], details: dict[str, Any]
) -> None:
    given = {"add_on_id": priced.add_on_id, "code": "more", **STANDARD, **fields}
    assert priced.refuses(c.CreateFixedCharge, input=given) == details


def test_a_fixed_charge_finds_its_add_on_by_id_or_code(priced: Priced) -> None:
    given = {"add_on_code": "seat", "code": "more", "charge_model": "graduated"}
    made = priced.do(c.CreateFixedCharge, input=given).plan.fixed_charges[1]
    assert (str(made.add_on_id), made.add_on_code, made.units) == (priced.add_on_id, "seat", 0)
    assert made.properties["graduated_ranges"][0]["to_value"] is None
    for reference in ({"add_on_code": "none"}, {"add_on_id": str(priced.first.id)}):
        unknown = {"code": "x", **STANDARD, **reference}
        assert priced.misses(c.CreateFixedCharge, input=unknown) == "add_on_not_found"
        in_plan = {**PLAN, "code": "other", "fixed_charges": [unknown]}
        with pytest.raises(NotFound) as missing:
            priced.catalog.do(c.CreatePlan, input=in_plan)
        assert missing.value.code == "add_ons_not_found"


def test_fixed_charges_of_a_plan_payload_get_codes_and_keep_what_is_not_named(
    priced: Priced,
) -> None:
    (first,) = priced.plan.fixed_charges
    assert (first.code, first.units) == ("seat", Decimal(5))
    items = [{"id": str(first.id), "units": "7.5"}, {"add_on_code": "seat", **STANDARD}]
    event = priced.catalog.one(c.UpdatePlan, code="growth", input={"fixed_charges": items})
    kept, made = event.plan.fixed_charges
    assert (kept.units, kept.properties, made.code) == (Decimal("7.5"), {"amount": "2"}, "seat_2")
    untouched = priced.catalog.one(c.UpdatePlan, code="growth", input={"name": "G"}).plan
    assert untouched.fixed_charges == (kept, made)
    cleared = priced.catalog.one(c.UpdatePlan, code="growth", input={"fixed_charges": []}).plan
    assert cleared.fixed_charges == ()


def test_what_is_paid_and_what_is_sold_never_change(priced: Priced) -> None:
    given = {"pay_in_advance": True, "prorated": True, "add_on_code": "none", "units": 6}
    event = priced.do(c.UpdateFixedCharge, code="seat", input=given)
    (changed,) = event.plan.fixed_charges
    assert (changed.pay_in_advance, changed.prorated, changed.units) == (False, False, 6)
    assert changed.add_on_code == "seat"
    wrong = priced.refuses(c.UpdateFixedCharge, code="seat", input={"units": None})
    assert wrong == {"units": ["value_is_mandatory"]}


def test_new_units_count_at_once_only_when_asked_and_only_when_they_are_new(
    priced: Priced,
) -> None:
    (seat,) = priced.plan.fixed_charges
    now = {"apply_units_immediately": True}
    assert priced.do(c.UpdateFixedCharge, code="seat", input={"units": 6}).applied_at_once == ()
    event = priced.do(c.UpdateFixedCharge, code="seat", input={"units": 7, **now})
    assert event.applied_at_once == (seat.id,)
    event = priced.do(c.UpdateFixedCharge, code="seat", input={"units": 7, **now})
    assert event.applied_at_once == ()
    items = [{"id": str(seat.id), "units": 8, **now}, {"add_on_code": "seat", **STANDARD}]
    event = priced.catalog.one(c.UpdatePlan, code="growth", input={"fixed_charges": items})
    assert event.applied_at_once == (seat.id,)


def test_fixed_charges_go_with_their_add_on(priced: Priced) -> None:
    updated, _ = priced.catalog.do(c.DeleteAddOn, code="seat")
    assert isinstance(updated, PlanUpdated)
    assert updated.plan.fixed_charges == ()
    assert priced.plan == updated.plan
    assert priced.misses(c.DeleteFixedCharge, code="seat", input={}) == "fixed_charge_not_found"


def test_a_plan_in_use_gets_nothing_that_no_invoice_has(priced: Priced) -> None:
    attach(priced.catalog, priced.plan)
    given = {"usage_thresholds": [{"amount_cents": 5}]}
    refused = {"usage_thresholds": ["not_supported_yet"]}
    assert priced.catalog.refuses(c.UpdatePlan, code="growth", input=given) == refused


# --- commitment and thresholds -----------------------------------------------------------------


def test_a_commitment_is_made_changed_and_taken_away(priced: Priced) -> None:
    def after(given: Any) -> Any:
        change = {"minimum_commitment": given}
        return priced.catalog.one(c.UpdatePlan, code="growth", input=change).plan.minimum_commitment

    made = after({"amount_cents": 50000, "tax_codes": ["vat"]})
    assert (made.amount_cents, made.tax_ids) == (50000, (priced.tax.id,))
    patched = after({"invoice_display_name": "At least"})
    assert (patched.id, patched.amount_cents, patched.tax_ids) == (made.id, 50000, made.tax_ids)
    assert after(None) == patched
    deleted = priced.catalog.do(c.DeleteTax, code="vat")[0]
    assert isinstance(deleted, PlanUpdated)
    assert deleted.plan.minimum_commitment is not None
    assert deleted.plan.minimum_commitment.tax_ids == ()
    assert after({}) is None
    assert after({"amount_cents": 1}).id != made.id


@pytest.mark.parametrize(
    ("thresholds", "details"),
    [
        (
            [{"amount_cents": 5}, {"recurring": True}],
            {"usage_thresholds": ["missing_amount_cents"]},
        ),
        ([{"amount_cents": 5}, {"amount_cents": 5}], {"usage_thresholds": ["duplicated_values"]}),
        (
            [{"amount_cents": 5, "recurring": True}, {"amount_cents": 6, "recurring": True}],
            {"usage_thresholds": ["multiple_recurring_thresholds"]},
        ),
        ([{"amount_cents": 0}], {"amount_cents": ["value_is_out_of_range"]}),
    ],
)
def test_wrong_thresholds_are_refused(
    priced: Priced, thresholds: Any, details: dict[str, Any]
) -> None:
    given = {"usage_thresholds": thresholds}
    assert priced.catalog.refuses(c.UpdatePlan, code="growth", input=given) == details


def test_thresholds_are_replaced_whole(priced: Priced) -> None:
    given: Any = [{"amount_cents": 5}, {"amount_cents": 5, "recurring": True}]
    made = priced.catalog.one(
        c.UpdatePlan, code="growth", input={"usage_thresholds": given}
    ).plan.usage_thresholds
    assert [(each.amount_cents, each.recurring) for each in made] == [(5, False), (5, True)]
    again = priced.catalog.one(
        c.UpdatePlan, code="growth", input={"usage_thresholds": given[:1]}
    ).plan.usage_thresholds
    assert len(again) == 1
    assert again[0].id not in {each.id for each in made}


# --- metadata ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "given", "replaced", "merged"),
    [
        (None, None, None, None),
        (None, {}, {}, None),
        (None, {"a": "1"}, {"a": "1"}, {"a": "1"}),
        ({"a": "1"}, None, None, {"a": "1"}),
        ({"a": "1"}, {}, {}, {"a": "1"}),
        ({"a": "1", "b": "2"}, {"b": None, "c": "3"}, {"b": None, "c": "3"},
         {"a": "1", "b": None, "c": "3"}),
    ],
)  # fmt: skip
def test_metadata_is_replaced_or_merged(
    stored: Any, given: Any, replaced: Any, merged: Any
) -> None:
    for kind, expected in ((c.ReplacePlanMetadata, replaced), (c.MergePlanMetadata, merged)):
        priced = Priced()
        priced.do(c.ReplacePlanMetadata, input=stored)
        event = priced.do(kind, input=given)
        assert event.plan.metadata == expected
        assert event.announced


def test_metadata_is_deleted_by_key_or_whole(priced: Priced) -> None:
    assert priced.misses(c.DeletePlanMetadata, key="a") == "metadata_not_found"
    priced.do(c.ReplacePlanMetadata, input={"a": "1", "b": "2"})
    assert priced.do(c.DeletePlanMetadata, key="none").plan.metadata == {"a": "1", "b": "2"}
    assert priced.do(c.DeletePlanMetadata, key="a").plan.metadata == {"b": "2"}
    assert priced.do(c.DeletePlanMetadata).plan.metadata is None
    wrong = priced.refuses(c.MergePlanMetadata, input={"k" * 101: "v"})
    assert wrong == {"value": ["key_too_long"]}


def test_metadata_paths_do_not_touch_the_monthly_switches() -> None:
    catalog = Catalog()
    yearly = {**PLAN, "interval": "yearly", "bill_charges_monthly": True}
    catalog.do(c.CreatePlan, input=yearly)
    event = catalog.one(c.MergePlanMetadata, plan_code="growth", input={"a": "1"})
    assert event.plan.bill_charges_monthly is True
