from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from catalog_kit import Catalog, attach

from lago_engine.domain.catalog.entities import AppliedPricingUnit, Charge
from lago_engine.domain.commands import (
    CreateBillableMetric,
    CreatePlan,
    CreatePricingUnit,
    CreateTax,
    UpdatePlan,
)
from lago_engine.domain.events import DomainEvent, PlanUpdated
from lago_engine.errors import NotFound


class Priced:
    """An organization with two metrics and a plan that has the given charges."""

    def __init__(self, *charges: dict[str, Any]) -> None:
        self.catalog = Catalog()
        self.calls = self.metric("api_calls")
        self.storage = self.metric("storage", aggregation_type="sum_agg", field_name="gb")
        self.tax = self.catalog.one(
            CreateTax, input={"name": "VAT", "code": "vat", "rate": "20"}
        ).tax
        self.catalog.do(CreatePlan, input=self.plan(*charges))

    def metric(self, code: str, **others: Any) -> str:
        fields = {"name": code, "code": code, "aggregation_type": "count_agg", **others}
        return str(self.catalog.one(CreateBillableMetric, input=fields).metric.id)

    def plan(self, *charges: dict[str, Any], code: str = "pro") -> dict[str, Any]:
        return {
            "name": "Pro",
            "code": code,
            "interval": "monthly",
            "amount_cents": 0,
            "amount_currency": "EUR",
            "pay_in_advance": False,
            "charges": [self.charge(**charge) for charge in charges],
        }

    def charge(self, **fields: Any) -> dict[str, Any]:
        return {"billable_metric_id": self.calls, "charge_model": "standard", **fields}

    @property
    def charges(self) -> tuple[Charge, ...]:
        return self.catalog.folded.plans["pro"].charges

    def put(self, *items: dict[str, Any]) -> list[DomainEvent]:
        return self.catalog.do(UpdatePlan, code="pro", input={"charges": list(items)})

    def refuses(self, **fields: Any) -> Any:
        """The refusal of a new plan with one charge that has these fields."""
        return self.catalog.refuses(CreatePlan, input=self.plan(fields, code="new"))

    def refuses_put(self, *items: dict[str, Any]) -> Any:
        return self.catalog.refuses(UpdatePlan, code="pro", input={"charges": list(items)})


def item(charge: Charge, **fields: Any) -> dict[str, Any]:
    return {"id": str(charge.id), **fields}


def test_a_charge_is_stored_with_the_keys_of_its_model() -> None:
    priced = Priced(
        {
            "properties": {"amount": "0.07", "package_size": 5, "pricing_group_keys": [""]},
            "invoice_display_name": "Calls",
            "tax_codes": ["vat"],
            "invoiceable": True,
            "pay_in_advance": False,
            "prorated": None,
            "regroup_paid_fees": None,
            "min_amount_cents": "500",
            "accepts_target_wallet": False,
            "applied_pricing_unit": None,
            "filters": [],
        }
    )
    [charge] = priced.charges
    assert (charge.code, charge.billable_metric_code) == ("api_calls", "api_calls")
    assert str(charge.billable_metric_id) == priced.calls
    assert charge.properties == {"amount": "0.07"}
    assert charge.invoice_display_name == "Calls"
    assert charge.tax_ids == (priced.tax.id,)
    assert charge.min_amount_cents == 500


@pytest.mark.parametrize("properties", [{}, None, "text"])
def test_a_charge_without_properties_costs_nothing(properties: Any) -> None:
    [charge] = Priced({"properties": properties}).charges
    assert charge.properties == {"amount": "0"}


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"billable_metric_id": None}, {"billable_metric": ["relation_must_exist"]}),
        ({"charge_model": None}, {"charge_model": ["value_is_mandatory", "value_is_invalid"]}),
        ({"charge_model": "cubic"}, {"charge_model": ["value_is_invalid"]}),
        (
            {"charge_model": "dynamic"},
            {"charge_model": ["invalid_aggregation_type_or_charge_model"]},
        ),
        (
            {"charge_model": "custom"},
            {"charge_model": ["invalid_aggregation_type_or_charge_model"]},
        ),
        ({"properties": {"amount": 5}}, {"properties": ["invalid_amount"]}),
        ({"properties": {"amount": "-1"}}, {"properties": ["invalid_amount"]}),
        ({"properties": {"amout": "1"}}, {"properties": ["invalid_amount"]}),
        (
            {"properties": {"amount": "x", "presentation_group_keys": "region"}},
            {"properties": ["invalid_amount", "invalid_type"]},
        ),
        (
            {"properties": {"amount": "1", "pricing_group_keys": ["region", " "]}},
            {"properties": ["invalid_type"]},
        ),
        *(
            (
                {"properties": {"amount": "1", "presentation_group_keys": keys}},
                {"properties": codes},
            )
            for keys, codes in [
                (["region"], ["invalid_type"]),
                ([{"value": " "}], ["invalid_type"]),
                ([{"value": "a", "shown": True}], ["invalid_type"]),
                ([{"value": "a", "options": {"display_in_invoice": "yes"}}], ["invalid_type"]),
                ([{"value": "a", "options": {"bold": True}}], ["invalid_type"]),
                ([{"value": "a"}, {"value": "a"}], ["value_is_duplicated"]),
                ([{"value": "a"}, {"value": "b"}, {"value": "c"}], ["too_many_keys"]),
            ]
        ),
        (
            {"pay_in_advance": True, "charge_model": "volume"},
            {"pay_in_advance": ["invalid_aggregation_type_or_charge_model"]},
        ),
        ({"pay_in_advance": "soon"}, {"pay_in_advance": ["value_is_invalid"]}),
        ({"prorated": True}, {"prorated": ["invalid_billable_metric_or_charge_model"]}),
        ({"invoiceable": False}, {"invoiceable": ["must_be_true_unless_pay_in_advance"]}),
        (
            {"regroup_paid_fees": "invoice"},
            {"regroup_paid_fees": ["only_compatible_with_pay_in_advance_and_non_invoiceable"]},
        ),
        ({"regroup_paid_fees": "day"}, {"regroup_paid_fees": ["value_is_invalid"]}),
        (
            {"pay_in_advance": True, "regroup_paid_fees": "invoice"},
            {"regroup_paid_fees": ["only_compatible_with_pay_in_advance_and_non_invoiceable"]},
        ),
        ({"min_amount_cents": -5}, {"min_amount_cents": ["value_is_out_of_range"]}),
        ({"min_amount_cents": "much"}, {"min_amount_cents": ["is not a number"]}),
        (
            {"min_amount_cents": 5, "pay_in_advance": True},
            {"min_amount_cents": ["not_compatible_with_pay_in_advance"]},
        ),
        ({"filters": ["region"]}, {"filters": ["value_is_invalid"]}),
        ({"accepts_target_wallet": "maybe"}, {"accepts_target_wallet": ["value_is_invalid"]}),
        (
            {"applied_pricing_unit": {"code": "none", "conversion_rate": "0.5"}},
            {"pricing_unit": ["relation_must_exist"]},
        ),
        (
            {"applied_pricing_unit": {"code": "none", "conversion_rate": 0}},
            {
                "pricing_unit": ["relation_must_exist"],
                "conversion_rate": ["value_is_out_of_range"],
            },
        ),
        ({"applied_pricing_unit": ["credits"]}, {"applied_pricing_unit": ["value_is_invalid"]}),
    ],
)
def test_a_wrong_charge_refuses_the_plan(
    fields: dict[str, Any], details: dict[str, list[str]]
) -> None:
    priced = Priced()
    assert priced.refuses(**fields) == details
    assert list(priced.catalog.folded.plans) == ["pro"]


def test_an_unknown_tax_of_a_charge_is_not_found() -> None:
    with pytest.raises(NotFound) as missing:
        Priced({"tax_codes": ["vat", "none"]})
    assert missing.value.code == "tax_not_found"


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ([None, None, None], ["api_calls", "api_calls_2", "api_calls_3"]),
        (["api_calls_7", None, None], ["api_calls_7", "api_calls", "api_calls_8"]),
        (["api_calls", "api_calls_x", None], ["api_calls", "api_calls_x", "api_calls_2"]),
        (["", "calls", None], ["api_calls", "calls", "api_calls_2"]),
        (["api_calls_" + "9" * 5000, None], ["api_calls_" + "9" * 5000, "api_calls"]),
    ],
)
def test_a_missing_code_is_made_from_the_metric(given: list[str | None], codes: list[str]) -> None:
    assert [charge.code for charge in Priced(*({"code": code} for code in given)).charges] == codes


def test_charge_codes_are_unique_in_the_plan() -> None:
    priced = Priced({"code": "a"})
    assert priced.refuses_put(item(priced.charges[0]), priced.charge(code="a")) == {
        "code": ["value_already_exist"]
    }
    # The code of a charge that goes is free at once.
    priced.put(priced.charge(code="a"))
    assert [charge.code for charge in priced.charges] == ["a"]


def test_charges_are_replaced_as_a_whole() -> None:
    priced = Priced({"code": "a"}, {"code": "b"}, {"code": "c"})
    a, b, _ = priced.charges
    priced.put(item(b, properties={"amount": "9"}), priced.charge(code="d"), item(a))
    after = priced.charges
    assert [charge.code for charge in after] == ["b", "d", "a"]
    assert (after[0].id, after[2]) == (b.id, a)
    assert after[0].properties == {"amount": "9"}
    plan = priced.catalog.folded.plans["pro"]
    ever = (*after, *priced.catalog.folded.plan(plan.id, 1).charges)
    assert len({charge.id for charge in ever}) == 4
    priced.catalog.do(UpdatePlan, code="pro", input={"charges": "text"})
    assert len(priced.charges) == 3
    priced.put()
    assert len(priced.charges) == 0


def test_an_id_of_no_charge_creates_one_and_a_repeated_id_is_refused() -> None:
    priced = Priced({"code": "a"})
    [a] = priced.charges
    assert priced.refuses_put(item(a), item(a)) == {"charges": ["value_is_duplicated"]}
    priced.put(item(a), {**priced.charge(code="z"), "id": "7a1b9d1c-0000-4000-8000-000000000000"})
    assert [charge.code for charge in priced.charges] == ["a", "z"]
    assert priced.refuses_put({"id": "nonsense", "charge_model": "standard"}) == {
        "billable_metric": ["relation_must_exist"]
    }


def test_what_an_update_does_not_name_is_unchanged() -> None:
    terms = {
        "properties": {"amount": "3"},
        "invoice_display_name": "Calls",
        "code": "a",
        "tax_codes": ["vat"],
    }
    priced = Priced(terms)
    [before] = priced.charges
    priced.put(item(before))
    assert priced.charges == (before,)
    priced.put(item(before, properties={}, invoice_display_name=None, tax_codes=[], code=" "))
    [after] = priced.charges
    assert after.properties == {"amount": "0"}
    assert (after.invoice_display_name, after.tax_ids, after.code) == (None, (), "a")


def test_terms_change_until_the_plan_is_attached() -> None:
    priced = Priced({"code": "a"}, {"code": "b"})
    a, b = priced.charges
    priced.put(item(a, code="x", billable_metric_id=priced.storage), item(b, code="a"))
    x, moved = priced.charges
    assert (x.code, x.billable_metric_code, str(x.billable_metric_id)) == (
        "x",
        "storage",
        priced.storage,
    )
    assert moved.code == "a"
    refusals: list[tuple[dict[str, Any], dict[str, list[str]]]] = [
        ({"code": "a"}, {"code": ["value_already_exist"]}),
        ({"charge_model": None}, {"charge_model": ["value_is_mandatory", "value_is_invalid"]}),
        (
            {"charge_model": "custom"},
            {"charge_model": ["invalid_aggregation_type_or_charge_model"]},
        ),
        ({"billable_metric_id": None}, {"billable_metric": ["relation_must_exist"]}),
        ({"prorated": True}, {"prorated": ["invalid_billable_metric_or_charge_model"]}),
        (
            {"charge_model": "graduated", "properties": {"amount": "1"}},
            {"properties": ["missing_graduated_ranges"]},
        ),
        ({"properties": {"amount": 1}}, {"properties": ["invalid_amount"]}),
    ]
    for fields, details in refusals:
        assert priced.refuses_put(item(x, **fields), item(moved)) == details


def test_a_new_model_without_properties_starts_from_its_defaults() -> None:
    priced = Priced({"properties": {"amount": "3"}, "min_amount_cents": 700})
    [before] = priced.charges
    priced.put(item(before, charge_model="package"))
    [after] = priced.charges
    assert after.charge_model == "package"
    assert after.properties == {"package_size": 1, "amount": "0", "free_units": 0}
    assert after.min_amount_cents == 700
    priced.put(item(after, charge_model="package", min_amount_cents=None))
    assert priced.charges[0].min_amount_cents == 0


TIERS = [
    {"from_value": 0, "to_value": 10, "per_unit_amount": "1", "flat_amount": "0", "note": "x"},
    {"from_value": 11, "per_unit_amount": "0.5", "flat_amount": "2"},
]


def test_of_a_range_its_own_keys_are_stored() -> None:
    [charge] = Priced(
        {"charge_model": "graduated", "properties": {"graduated_ranges": TIERS}}
    ).charges
    assert charge.properties == {
        "graduated_ranges": [
            {"from_value": 0, "to_value": 10, "per_unit_amount": "1", "flat_amount": "0"},
            {"from_value": 11, "to_value": None, "per_unit_amount": "0.5", "flat_amount": "2"},
        ]
    }


NEEDING: dict[str, Any] = {
    "free_units_per_events": 3,
    "free_units_per_total_aggregation": "10",
    "per_transaction_min_amount": "1",
    "per_transaction_max_amount": "5",
}


@pytest.mark.parametrize("key", NEEDING)
def test_allowances_and_bounds_are_priced_on_counts_and_on_sums(key: str) -> None:
    priced = Priced()
    given = {"charge_model": "percentage", "properties": {"rate": "1", key: NEEDING[key]}}
    priced.put(priced.charge(**given))
    [charge] = priced.charges
    assert charge.properties == given["properties"]
    priced.put(item(charge, billable_metric_id=priced.storage))
    assert priced.charges[0].billable_metric_code == "storage"


@pytest.mark.parametrize("key", [key for key in NEEDING if key.startswith("per_transaction")])
def test_events_of_a_weighted_sum_have_no_price_of_their_own(key: str) -> None:
    priced = Priced()
    level = priced.metric(
        "level", aggregation_type="weighted_sum_agg", field_name="n", weighted_interval="seconds"
    )
    given = {"charge_model": "percentage", "properties": {"rate": "1", key: NEEDING[key]}}
    refusal = {key: ["not_supported_yet"]}
    assert priced.refuses(**given, billable_metric_id=level) == refusal
    priced.put(priced.charge(**given))
    [charge] = priced.charges
    assert priced.refuses_put(item(charge, billable_metric_id=level)) == refusal


def test_presentation_keys_are_stored_as_they_are_given() -> None:
    keys = [{"value": "region", "options": {"display_in_invoice": True}}, {"value": "tier"}]
    [charge] = Priced({"properties": {"amount": "1", "presentation_group_keys": keys}}).charges
    assert charge.properties == {"amount": "1", "presentation_group_keys": keys}


def test_a_dynamic_charge_prices_sums_only() -> None:
    priced = Priced()
    given = {"charge_model": "dynamic", "billable_metric_id": priced.storage}
    priced.put(given)
    [charge] = priced.charges
    assert (charge.charge_model, charge.properties) == ("dynamic", {})
    assert priced.refuses_put(item(charge, billable_metric_id=priced.calls)) == {
        "charge_model": ["invalid_aggregation_type_or_charge_model"]
    }


def test_a_percentage_of_a_sum_without_those_is_priced() -> None:
    priced = Priced()
    empty = dict.fromkeys(NEEDING) | {"free_units_per_total_aggregation": "0"}
    properties = {"rate": "1.5", "fixed_amount": "0.2", **empty}
    priced.put(
        priced.charge(
            charge_model="percentage", billable_metric_id=priced.storage, properties=properties
        )
    )
    assert priced.charges[0].properties == properties


@pytest.mark.parametrize(("model", "key"), [("percentage", "rate"), ("graduated_percentage", "")])
def test_a_percentage_of_the_latest_value_is_refused(model: str, key: str) -> None:
    priced = Priced()
    latest = priced.metric("latest", aggregation_type="latest_agg", field_name="gb")
    properties = {key: "5"} if key else {}
    given = {"charge_model": model, "billable_metric_id": latest, "properties": properties}
    assert priced.refuses(**given) == {"properties": ["invalid_value"]}
    assert priced.refuses(**given, pay_in_advance=True) == {
        "properties": ["invalid_value"],
        "pay_in_advance": ["invalid_aggregation_type_or_charge_model"],
    }


CREDITS = {"code": "credits", "conversion_rate": "0.50"}


def in_credits(**fields: Any) -> Priced:
    """An organization that knows credits, with a plan priced in them."""
    priced = Priced()
    unit = {"code": "credits", "name": "Credits", "short_name": "CR"}
    priced.catalog.do(CreatePricingUnit, input=unit)
    priced.put(priced.charge(applied_pricing_unit=CREDITS, **fields))
    return priced


def test_a_charge_may_be_priced_in_a_pricing_unit() -> None:
    [charge] = in_credits(pay_in_advance=True).charges
    half = AppliedPricingUnit(code="credits", conversion_rate=Decimal("0.5"))
    assert charge.applied_pricing_unit == half
    for nothing in (None, {}):
        [charge] = Priced({"applied_pricing_unit": nothing}).charges
        assert charge.applied_pricing_unit is None


@pytest.mark.parametrize(
    ("rate", "code"),
    [
        ("0", "value_is_out_of_range"),
        ("-1", "value_is_out_of_range"),
        ("half", "is not a number"),
        (None, "value_is_mandatory"),
    ],
)
def test_the_rate_of_a_pricing_unit_is_above_zero(rate: str | None, code: str) -> None:
    given = {"applied_pricing_unit": {"code": "credits", "conversion_rate": rate}}
    assert in_credits().refuses(**given) == {"conversion_rate": [code]}


@pytest.mark.parametrize("attached", [True, False])
@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ({"conversion_rate": "0.7"}, "0.7"),
        ({"code": "gold", "conversion_rate": 2}, "2"),
        ({"code": "gold"}, "0.5"),
        ({}, "0.5"),
        (None, "0.5"),
    ],
)
def test_only_the_rate_of_a_pricing_unit_changes(given: Any, rate: str, *, attached: bool) -> None:
    priced = in_credits()
    if attached:
        attach(priced.catalog, priced.catalog.folded.plans["pro"])
    priced.put(item(priced.charges[0], applied_pricing_unit=given))
    [charge] = priced.charges
    expected = AppliedPricingUnit(code="credits", conversion_rate=Decimal(rate))
    assert charge.applied_pricing_unit == expected


def test_a_changed_rate_is_above_zero_and_money_stays_money() -> None:
    priced = in_credits()
    given = {"applied_pricing_unit": {"conversion_rate": "0"}}
    refused = priced.refuses_put(item(priced.charges[0], **given))
    assert refused == {"conversion_rate": ["value_is_out_of_range"]}
    priced = Priced({})
    priced.put(item(priced.charges[0], applied_pricing_unit=CREDITS))
    assert priced.charges[0].applied_pricing_unit is None


def test_terms_of_an_attached_plan_are_ignored_and_prices_are_not() -> None:
    priced = Priced({"code": "a"})
    [a] = priced.charges
    attach(priced.catalog, priced.catalog.folded.plans["pro"])
    ignored = {
        "code": "x",
        "charge_model": "cubic",
        "billable_metric_id": priced.storage,
        "pay_in_advance": True,
        "prorated": True,
        "invoiceable": False,
        "min_amount_cents": 500,
    }
    [event] = priced.put(item(a, properties={"amount": "2"}, tax_codes=["vat"], **ignored))
    assert isinstance(event, PlanUpdated)
    [after] = priced.charges
    assert (after.code, after.billable_metric_id, after.charge_model) == (
        "a",
        a.billable_metric_id,
        "standard",
    )
    assert after.min_amount_cents == 0
    assert (after.properties, after.tax_ids) == ({"amount": "2"}, (priced.tax.id,))
    assert priced.refuses_put(item(after, filters=[{"values": {}}])) == {
        "values": ["value_is_mandatory"]
    }
    priced.put(item(after), priced.charge(code="new"))
    assert [charge.code for charge in priced.charges] == ["a", "new"]


AGGREGATIONS = {
    "count": {"aggregation_type": "count_agg"},
    "sum": {"aggregation_type": "sum_agg", "field_name": "n"},
    "max": {"aggregation_type": "max_agg", "field_name": "n"},
    "unique": {"aggregation_type": "unique_count_agg", "field_name": "n"},
    "latest": {"aggregation_type": "latest_agg", "field_name": "n"},
    "weighted": {
        "aggregation_type": "weighted_sum_agg",
        "field_name": "n",
        "weighted_interval": "seconds",
    },
}
INCOMPATIBLE = {"charge_model": ["invalid_aggregation_type_or_charge_model"]}
NO_SHARE = {"properties": ["invalid_value"]}


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize(
    "model",
    [
        "standard",
        "graduated",
        "package",
        "volume",
        "percentage",
        "graduated_percentage",
        "dynamic",
        "custom",
    ],
)
def test_which_model_prices_which_aggregation(model: str, aggregation: str) -> None:
    """The table of charges §3.1."""
    priced = Priced()
    metric = priced.metric("m", **AGGREGATIONS[aggregation])
    given = {"charge_model": model, "billable_metric_id": metric}
    refusal: dict[str, list[str]] = {}
    if "percentage" in model and aggregation == "latest":
        refusal = NO_SHARE
    elif model == "custom" or (model == "dynamic" and aggregation != "sum"):
        refusal = INCOMPATIBLE
    if refusal:
        assert priced.refuses(**given) == refusal
    else:
        priced.put(given)
        assert priced.charges[0].charge_model == model


NOT_PRORATED = ["invalid_billable_metric_or_charge_model"]


@pytest.mark.parametrize("aggregation", ["sum", "unique", "weighted"])
@pytest.mark.parametrize("model", ["standard", "graduated", "volume", "package", "percentage"])
def test_which_charges_are_prorated(model: str, aggregation: str) -> None:
    """The table of charges §3.3, in arrears."""
    priced = Priced()
    seats = priced.metric("seats", **AGGREGATIONS[aggregation], recurring=True)
    once = priced.metric("once", **AGGREGATIONS[aggregation])
    given = {"charge_model": model, "prorated": True}
    assert priced.refuses(**given, billable_metric_id=once)["prorated"] == NOT_PRORATED
    if model in ("package", "percentage") or aggregation == "weighted":
        assert priced.refuses(**given, billable_metric_id=seats)["prorated"] == NOT_PRORATED
        return
    priced.put({**given, "billable_metric_id": seats})
    [charge] = priced.charges
    assert charge.prorated
    # What stays has to fit the new terms.
    assert priced.refuses_put(item(charge, billable_metric_id=once))["prorated"] == NOT_PRORATED
    assert priced.refuses_put(item(charge, charge_model="package"))["prorated"] == NOT_PRORATED
    priced.put(item(charge, billable_metric_id=once, prorated=False))
    assert not priced.charges[0].prorated
