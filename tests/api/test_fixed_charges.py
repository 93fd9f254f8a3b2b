"""Fixed charges over HTTP: units of a subscription, its fees, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api

AT = "/subscriptions/{}/fixed_charges/{}"
ALL = "/subscriptions/{}/fixed_charges"


@pytest.fixture
def plan(api: Api) -> Any:
    add_on = {"name": "Seat", "code": "seats", "amount_cents": 500, "amount_currency": "EUR"}
    api.create("add_on", "/add_ons", **add_on, invoice_display_name="Seats", description="A chair")
    sold = {"add_on_code": "seats", "charge_model": "standard", "properties": {"amount": "10"}}
    made = api.plan(fixed_charges=[sold | {"units": "2.5", "pay_in_advance": True}])
    api.customer()
    api.subscription("sub")
    return made


def fees(api: Api) -> list[Any]:
    found: list[Any] = api("GET", "/fees", query={"fee_type": "fixed_charge"})["fees"]
    return found


def test_a_fee_says_what_it_is_for(api: Api, plan: Any) -> None:
    (fee,) = fees(api)
    assert fee["lago_fixed_charge_id"] == plan["fixed_charges"][0]["lago_id"]
    assert (fee["lago_charge_id"], fee["invoiceable"], fee["pay_in_advance"]) == (None, True, True)
    assert {key: fee["item"][key] for key in ("type", "code", "name", "item_type")} == {
        "type": "fixed_charge", "code": "seats", "name": "Seat", "item_type": "AddOn",
    }  # fmt: skip
    assert fee["item"]["invoice_display_name"] == "Seats"
    assert (fee["units"], fee["amount_cents"], fee["precise_unit_amount"]) == ("2.5", 2500, "10.0")
    (listed,) = api("GET", "/invoices")["invoices"]
    whole = api("GET", "/invoices/{}", listed["lago_id"])["invoice"]
    assert [each["lago_id"] for each in whole["fees"]] == [fee["lago_id"]]
    assert whole["billing_periods"][0]["fixed_charges_from_datetime"] is not None
    document = api.http.get(whole["file_url"])
    assert document.content.startswith(b"%PDF")


def test_an_invoice_of_units_announces_its_fees(api: Api, plan: Any) -> None:
    api.create("webhook_endpoint", "/webhook_endpoints", webhook_url="http://127.0.0.1:9/hooks")
    given = {"fixed_charge": {"units": 4, "apply_units_immediately": True}}
    api("PUT", AT, "sub", "seats", body=given)
    sent = api("GET", "/test_clock/webhooks", query={"per_page": 100})["webhooks"]
    assert {"fee.created", "invoice.created"} <= {each["webhook_type"] for each in sent}


def test_units_alone_are_the_subscriptions_own(api: Api, plan: Any) -> None:
    (theirs,) = plan["fixed_charges"]
    given = {"fixed_charge": {"units": 4, "apply_units_immediately": True}}
    own = api("PUT", AT, "sub", "seats", body=given)["fixed_charge"]
    assert own == theirs | {"units": "4.0"}
    assert api("GET", AT, "sub", "seats")["fixed_charge"] == own
    assert api("GET", ALL, "sub")["fixed_charges"] == [own]
    assert api("GET", "/plans/{}", "basic")["plan"]["fixed_charges"] == [theirs]
    assert [(fee["units"], fee["amount_cents"]) for fee in fees(api)] == [
        ("2.5", 2500),
        ("1.5", 1500),
    ]


def test_other_terms_make_a_plan_of_its_own(api: Api, plan: Any) -> None:
    (theirs,) = plan["fixed_charges"]
    api("PUT", AT, "sub", "seats", body={"fixed_charge": {"units": 3}})
    given = {"fixed_charge": {"invoice_display_name": "Chairs"}}
    own = api("PUT", AT, "sub", "seats", body=given)["fixed_charge"]
    assert own["lago_parent_id"] == theirs["lago_id"]
    assert (own["units"], own["invoice_display_name"]) == ("3.0", "Chairs")
    assert api("GET", AT, "sub", "seats")["fixed_charge"] == own


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"units": -1}, {"units": ["value_is_out_of_range"]}),
        ({"units": "many"}, {"units": ["is not a number"]}),
        ({"units": None}, {"units": ["value_is_mandatory"]}),
        ({"units": 1, "apply_units_immediately": "soon"}, None),
    ],
)
def test_wrong_units_are_refused(api: Api, plan: Any, given: Any, refused: Any) -> None:
    answer = api("PUT", AT, "sub", "seats", body={"fixed_charge": given}, status=422)
    if refused is not None:
        assert answer["error_details"] == refused
    assert api("GET", AT, "sub", "seats")["fixed_charge"]["units"] == "2.5"
    assert len(fees(api)) == 1


def test_an_unknown_fixed_charge_of_overrides_is_not_found(api: Api, plan: Any) -> None:
    items = [{"id": plan["lago_id"], "units": 1}]
    given = {
        "external_id": "other", "external_customer_id": "acme", "plan_code": "basic",
        "plan_overrides": {"fixed_charges": items},
    }  # fmt: skip
    missing = api("POST", "/subscriptions", body={"subscription": given}, status=404)
    assert missing["code"] == "fixed_charge_not_found"
