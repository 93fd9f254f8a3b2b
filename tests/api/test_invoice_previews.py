"""`POST /invoices/preview` (invoices.md §15): what it says is what billing then does, and nothing is stored."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from api.client import Api

AMOUNTS = (
    "issuing_date", "payment_due_date", "fees_amount_cents", "coupons_amount_cents", "taxes_amount_cents",
    "credit_notes_amount_cents", "sub_total_excluding_taxes_amount_cents", "total_amount_cents",
)  # fmt: skip
FEE = ("amount_cents", "units", "from_date", "to_date", "taxes_amount_cents", "precise_unit_amount")


def preview(api: Api, status: int = 200, **body: Any) -> Any:
    answer = api("POST", "/invoices/preview", body=body, status=status)
    return answer["invoice"] if status == 200 else answer


def of_acme(api: Api, status: int = 200, **subscriptions: Any) -> Any:
    given = {"external_ids": ["sub"]} | subscriptions
    return preview(api, status, customer={"external_id": "acme"}, subscriptions=given)


def said(invoice: Any) -> Any:
    """What a preview and the invoice that it foretells have in common."""
    fees = [
        [fee["item"]["type"], fee["item"]["code"], *(fee[each] for each in FEE)]
        for fee in invoice["fees"]
    ]
    return {each: invoice[each] for each in AMOUNTS} | {"fees": fees}


def billed(api: Api) -> Any:
    """The newest invoice, whole."""
    newest = api("GET", "/invoices")["invoices"][0]
    return api("GET", "/invoices/{}", newest["lago_id"])["invoice"]


def advance(api: Api, to: str) -> None:
    api("POST", "/test_clock/advance", body={"test_clock": {"to": to}})


@pytest.fixture
def shop(api: Api) -> Api:
    """Usage at 0.5 on a plan in arrears, one in advance, VAT of 20 %, and a customer on the first."""
    metric = api.metric()
    charge = {
        "billable_metric_id": metric["lago_id"],
        "charge_model": "standard",
        "properties": {"amount": "0.5"},
    }
    api.create("tax", "/taxes", name="VAT", code="vat", rate=20, applied_to_organization=True)
    api.plan("basic", charges=[charge])
    api.plan("ahead", amount_cents=3_100, pay_in_advance=True)
    api.plan("cheap", amount_cents=400)
    api.set_clock("2024-03-01T00:00:00Z")
    api.customer(currency="EUR")
    return api


@pytest.fixture
def subscribed(shop: Api) -> Api:
    shop.subscription()
    shop.set_clock("2024-03-15T12:00:00Z")
    shop.event("t1", properties={"gb": 30})
    return shop


def test_the_next_invoice_of_a_subscription(subscribed: Api) -> None:
    foretold = of_acme(subscribed)
    assert (UUID(foretold["lago_id"]).int, foretold["number"]) == (0, "")
    assert foretold["status"] == "draft"
    assert foretold["fees_amount_cents"] == 1_000 + 1_500
    assert foretold["total_amount_cents"] == 3_000
    assert foretold["subscriptions"][0]["external_id"] == "sub"
    assert subscribed("GET", "/invoices")["invoices"] == []
    advance(subscribed, "2024-04-01T01:00:00Z")
    assert said(billed(subscribed)) == said(foretold)


def test_a_grace_period_hides_no_discount(subscribed: Api) -> None:
    subscribed.customer(billing_configuration={"invoice_grace_period": 3})
    subscribed.create(
        "coupon", "/coupons", name="Ten", code="ten", coupon_type="percentage",
        percentage_rate="10", frequency="forever", expiration="no_expiration",
    )  # fmt: skip
    subscribed.create(
        "applied_coupon", "/applied_coupons", external_customer_id="acme", coupon_code="ten"
    )
    foretold = of_acme(subscribed)
    assert foretold["coupons_amount_cents"] == 250
    assert foretold["credits"][0]["item"]["code"] == "ten"
    advance(subscribed, "2024-04-05T01:00:00Z")
    assert said(billed(subscribed)) == said(foretold)
    applied = subscribed("GET", "/applied_coupons")["applied_coupons"][0]
    assert len(applied["credits"]) == 1


def test_an_end(subscribed: Api) -> None:
    foretold = of_acme(subscribed, terminated_at="2024-03-20T00:00:00Z")
    subscribed.set_clock("2024-03-20T00:00:00Z")
    assert subscribed("GET", "/subscriptions/{}", "sub")["subscription"]["status"] == "active"
    subscribed("DELETE", "/subscriptions/{}", "sub")
    assert said(billed(subscribed)) == said(foretold)


def test_an_end_that_is_set(shop: Api) -> None:
    shop.subscription(ending_at="2024-03-21T12:00:00Z")
    foretold = of_acme(shop)
    assert foretold["billing_periods"][0]["invoicing_reason"] == "subscription_terminating"
    advance(shop, "2024-03-21T13:00:00Z")
    assert said(billed(shop)) == said(foretold)


def test_the_credit_note_of_an_end_counts(shop: Api) -> None:
    metric = shop("GET", "/billable_metrics/{}", "storage")["billable_metric"]
    charge = {
        "billable_metric_id": metric["lago_id"],
        "charge_model": "standard",
        "properties": {"amount": "1"},
    }
    shop.plan("both", amount_cents=3_100, pay_in_advance=True, charges=[charge])
    shop.subscription(plan="both")
    shop.set_clock("2024-03-10T12:00:00Z")
    shop.event("t1", timestamp="1709942400", properties={"gb": 5})
    foretold = of_acme(shop, terminated_at="2024-03-10T12:00:00Z")
    assert foretold["credit_notes_amount_cents"] == 600
    assert shop("GET", "/credit_notes")["credit_notes"] == []
    shop("DELETE", "/subscriptions/{}", "sub")
    assert said(billed(shop)) == said(foretold)


@pytest.mark.parametrize(("plan", "to"), [("ahead", None), ("cheap", "2024-04-01T01:00:00Z")])
def test_another_plan(subscribed: Api, plan: str, to: str | None) -> None:
    foretold = of_acme(subscribed, plan_code=plan)
    subscribed.subscription(plan=plan)
    if to is not None:
        assert said(of_acme(subscribed)) == said(foretold)
        advance(subscribed, to)
    assert said(billed(subscribed)) == said(foretold)


@pytest.mark.parametrize("plan", ["ahead", "cheap"])
def test_a_proposal_to_a_customer(shop: Api, plan: str) -> None:
    foretold = preview(shop, customer={"external_id": "acme"}, plan_code=plan)
    shop.subscription("other", plan=plan)
    advance(shop, "2024-04-01T01:00:00Z" if plan == "cheap" else "2024-03-01T01:00:00Z")
    assert said(billed(shop)) == said(foretold)


def test_a_proposal_to_somebody_new(shop: Api) -> None:
    coupons = [
        {"code": "welcome", "coupon_type": "fixed_amount", "amount_cents": 100, "amount_currency": "EUR"}
    ]  # fmt: skip
    foretold = preview(
        shop,
        customer={"name": "Nobody", "currency": "EUR", "timezone": "Europe/Paris"},
        plan_code="ahead",
        billing_time="anniversary",
        subscription_at="2024-03-10T00:00:00Z",
        coupons=coupons,
    )
    assert foretold["customer"]["name"] == "Nobody"
    assert foretold["fees"][0]["from_date"] == "2024-03-09T23:00:00+00:00"
    assert foretold["total_amount_cents"] == 3_000 * 120 // 100
    assert foretold["credits"][0]["item"]["code"] == "welcome"
    assert len(shop("GET", "/customers")["customers"]) == 1
    assert shop("GET", "/coupons")["coupons"] == []


def test_a_subscription_that_waits_for_its_start(shop: Api) -> None:
    shop.subscription(plan="ahead", subscription_at="2024-03-20T00:00:00Z")
    foretold = of_acme(shop)
    assert foretold["issuing_date"] == "2024-03-20"
    advance(shop, "2024-03-20T01:00:00Z")
    assert said(billed(shop)) == said(foretold)


def test_prepaid_credits_count_and_stay(subscribed: Api) -> None:
    subscribed.create(
        "wallet", "/wallets", external_customer_id="acme", rate_amount="1", granted_credits="7"
    )
    foretold = of_acme(subscribed)
    assert foretold["prepaid_credit_amount_cents"] == 700
    assert foretold["total_amount_cents"] == 3_000 - 700
    (wallet,) = subscribed("GET", "/wallets", query={"external_customer_id": "acme"})["wallets"]
    assert wallet["balance_cents"] == 700
    advance(subscribed, "2024-04-01T01:00:00Z")
    assert said(billed(subscribed)) == said(foretold)


@pytest.mark.parametrize(
    ("ahead", "to"), [(True, "2024-03-01T01:00:00Z"), (False, "2024-04-01T01:00:00Z")]
)
def test_fixed_charges_of_a_proposal(shop: Api, ahead: bool, to: str) -> None:
    shop.create("add_on", "/add_ons", name="Seats", code="seats", amount_cents=1_000,
                amount_currency="EUR")  # fmt: skip
    seats = {"add_on_code": "seats", "charge_model": "standard", "properties": {"amount": "10"},
             "units": "3", "pay_in_advance": ahead}  # fmt: skip
    shop.plan("team", amount_cents=0, fixed_charges=[seats])
    foretold = preview(shop, customer={"external_id": "acme"}, plan_code="team")
    assert foretold["fees_amount_cents"] == 3_000
    shop.subscription("other", plan="team")
    advance(shop, to)
    assert said(billed(shop)) == said(foretold)


def test_several_subscriptions_on_one_invoice(subscribed: Api) -> None:
    subscribed.subscription("two", plan="cheap", subscription_at="2024-03-15T00:00:00Z")
    foretold = of_acme(subscribed, external_ids=["sub", "two"])
    advance(subscribed, "2024-04-01T01:00:00Z")
    assert said(billed(subscribed)) == said(foretold)


def test_what_the_request_says_of_the_customer_is_supposed_only(subscribed: Api) -> None:
    customer = {"external_id": "acme", "timezone": "Asia/Tokyo", "name": "Other"}
    foretold = preview(subscribed, customer=customer, subscriptions={"external_ids": ["sub"]})
    assert foretold["customer"]["name"] == "Other"
    assert foretold["fees"][0]["to_date"].startswith("2024-03-31T14:59:59")
    assert subscribed("GET", "/customers/{}", "acme")["customer"]["timezone"] is None


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"coupons": {}}, 400, {"error": "coupons_must_be_an_array"}),
        ({"subscriptions": []}, 400, {"error": "subscriptions_must_be_an_object"}),
        ({"customer": {"external_id": "none"}}, 404, {"code": "customer_not_found"}),
        ({"customer": {}, "plan_code": "none"}, 404, {"code": "plan_not_found"}),
        ({"billing_entity_code": "none", "plan_code": "cheap"}, 404,
         {"code": "billing_entity_not_found"}),
        ({"plan_code": "cheap", "coupons": [{"code": "none"}]}, 404, {"code": "coupon_not_found"}),
        ({"plan_code": "cheap", "coupons": ["none"]}, 404, {"code": "coupon_not_found"}),
        ({"plan_code": "cheap", "subscription_at": "soon"}, 422,
         {"error_details": {"subscription_at": ["invalid_date"]}}),
        ({"plan_code": "cheap", "customer": {"timezone": "Mars"}}, 422,
         {"error_details": {"timezone": ["invalid_timezone"]}}),
        ({"plan_code": "cheap", "customer": {"integration_customers": [{}]}}, 422,
         {"error_details": {"integration_customers": ["not_supported_yet"]}}),
        ({"customer": {}, "subscriptions": {"external_ids": ["sub"]}}, 422,
         {"error_details": {"customer": ["must_be_persisted"]}}),
    ],
)  # fmt: skip
def test_a_request_that_means_nothing(shop: Api, body: Any, status: int, expected: Any) -> None:
    assert preview(shop, status, **body).items() >= expected.items()


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ({"external_ids": ["none"]}, 404, {"code": "subscription_not_found"}),
        ({"terminated_at": "soon"}, 422,
         {"error_details": {"terminated_at": ["invalid_timestamp"]}}),
        ({"terminated_at": "2024-03-01T00:00:00Z"}, 422,
         {"error_details": {"terminated_at": ["cannot_be_in_past"]}}),
        ({"external_ids": ["sub", "two"], "terminated_at": "2024-03-20T00:00:00Z"}, 422,
         {"error_details": {"subscriptions": ["only_one_subscription_allowed_for_termination"]}}),
        ({"external_ids": ["sub", "two"], "plan_code": "cheap"}, 422,
         {"error_details": {"subscriptions": ["only_one_subscription_allowed_for_plan_change"]}}),
        ({"plan_code": "basic"}, 422,
         {"error_details": {"base": ["new_plan_should_be_different_from_existing_plan"]}}),
        ({"plan_code": "none"}, 404, {"code": "plan_not_found"}),
        ({"external_ids": ["sub", "two"]}, 422,
         {"error_details": {"base": ["billing_periods_does_not_match"]}}),
        ({"external_ids": ["sub", "dear"]}, 422,
         {"error_details": {"base": ["subscription_currencies_does_not_match"]}}),
    ],
)  # fmt: skip
def test_subscriptions_that_cannot_be_previewed(
    subscribed: Api, asked: Any, status: int, expected: Any
) -> None:
    subscribed.subscription("two", plan="cheap", billing_time="anniversary")
    subscribed.plan("dollar", amount_currency="USD")
    subscribed.subscription("dear", plan="dollar")
    assert of_acme(subscribed, status, **asked).items() >= expected.items()


@pytest.mark.parametrize("pay_in_advance", [False, True])
def test_a_first_invoice_has_fixed_charges_in_advance(api: Api, pay_in_advance: bool) -> None:
    add_on = {"name": "Seats", "code": "seats", "amount_cents": 1, "amount_currency": "EUR"}
    api.create("add_on", "/add_ons", **add_on)
    sold = {"add_on_code": "seats", "charge_model": "standard", "properties": {"amount": "3"}}
    fixed_charges = [sold | {"units": 2, "pay_in_advance": True}, sold | {"units": 5}]
    api.plan(code="team", pay_in_advance=pay_in_advance, fixed_charges=fixed_charges)
    body = {"customer": {"currency": "EUR"}, "plan_code": "team"}
    fees = api("POST", "/invoices/preview", body=body)["invoice"]["fees"]
    expected = ["subscription", "fixed_charge"] if pay_in_advance else ["fixed_charge"]
    assert [fee["item"]["type"] for fee in fees] == expected
    assert (fees[-1]["units"], fees[-1]["amount_cents"]) == ("2.0", 600)
