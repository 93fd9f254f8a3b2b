"""Coupons over HTTP (coupons_wallets_credit_notes.md §1, §2)."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api

FIXED = {
    "name": "Ten off",
    "code": "ten",
    "coupon_type": "fixed_amount",
    "amount_cents": 1_000,
    "amount_currency": "EUR",
    "frequency": "once",
    "expiration": "no_expiration",
}
PERCENT = {
    "name": "Half",
    "code": "half",
    "coupon_type": "percentage",
    "percentage_rate": "50",
    "frequency": "recurring",
    "frequency_duration": 2,
    "expiration": "time_limit",
    "expiration_at": "2024-06-01T00:00:00Z",
}


def coupon(api: Api, given: dict[str, Any], **fields: Any) -> Any:
    return api.create("coupon", "/coupons", **(given | fields))


def apply(api: Api, code: str, customer: str = "acme", **fields: Any) -> Any:
    return api.create(
        "applied_coupon",
        "/applied_coupons",
        external_customer_id=customer,
        coupon_code=code,
        **fields,
    )


def refused(api: Api, given: dict[str, Any], **fields: Any) -> Any:
    body = {"coupon": given | fields}
    return api("POST", "/coupons", body=body, status=422)["error_details"]


def test_a_coupon_is_shown_as_it_was_made(api: Api) -> None:
    made = coupon(api, FIXED)
    assert made | FIXED == made
    assert made["reusable"] is True
    assert (made["limited_plans"], made["plan_codes"]) == (False, [])
    assert made["percentage_rate"] is made["terminated_at"] is None
    assert coupon(api, PERCENT)["percentage_rate"] == "50.0"
    assert api("GET", "/coupons/{}", "ten") == {"coupon": made}
    assert [each["code"] for each in api("GET", "/coupons")["coupons"]] == ["ten", "half"]


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"name": ""}, {"name": ["value_is_mandatory"]}),
        ({"coupon_type": "gift"}, {"coupon_type": ["value_is_invalid"]}),
        ({"amount_cents": 0}, {"amount_cents": ["value_is_out_of_range"]}),
        ({"amount_currency": "XXX"}, {"amount_currency": ["value_is_invalid"]}),
        ({"coupon_type": "percentage"}, {"percentage_rate": ["value_is_mandatory"]}),
        ({"frequency": "recurring"}, {"frequency_duration": ["value_is_mandatory"]}),
        (
            {"frequency": "recurring", "frequency_duration": 0},
            {"frequency_duration": ["value_is_out_of_range"]},
        ),
        ({"reusable": None}, {"reusable": ["value_is_mandatory"]}),
        ({"expiration": None}, {"expiration": ["value_is_mandatory"]}),
        ({"expiration_at": "2024-03-15T11:00:00Z"}, {"expiration_at": ["invalid_date"]}),
        ({"expiration_at": "soon"}, {"expiration_at": ["invalid_date"]}),
    ],
)
def test_what_a_coupon_must_be(api: Api, fields: dict[str, Any], details: Any) -> None:
    assert refused(api, FIXED, **fields) == details


def test_limits_are_plans_or_metrics(api: Api) -> None:
    api.metric()
    api.plan()
    both = {"plan_codes": ["basic"], "billable_metric_codes": ["storage"]}
    answer = api("POST", "/coupons", body={"coupon": FIXED | {"applies_to": both}}, status=405)
    assert answer["code"] == "only_one_limitation_type_per_coupon_allowed"
    for limits, code in (
        ({"plan_codes": ["none"]}, "plans_not_found"),
        ({"billable_metric_codes": ["none"]}, "billable_metrics_not_found"),
    ):
        body = {"coupon": FIXED | {"applies_to": limits}}
        assert api("POST", "/coupons", body=body, status=404)["code"] == code
    made = coupon(api, FIXED, applies_to={"plan_codes": ["basic"]})
    assert (made["limited_plans"], made["plan_codes"]) == (True, ["basic"])
    body = {"coupon": {"applies_to": {"billable_metric_codes": ["storage"]}}}
    changed = api("PUT", "/coupons/{}", "ten", body=body)["coupon"]
    assert (changed["plan_codes"], changed["billable_metric_codes"]) == ([], ["storage"])


def test_an_applied_coupon_keeps_what_it_is_worth(api: Api) -> None:
    coupon(api, FIXED)
    api.customer()
    body: Any = {"coupon": {"amount_cents": 2_000, "code": "twenty", "frequency": "forever"}}
    assert api("PUT", "/coupons/{}", "ten", body=body)["coupon"]["amount_cents"] == 2_000
    apply(api, "twenty")
    body = {"coupon": {"amount_cents": 1, "code": "one", "name": "New name"}}
    changed = api("PUT", "/coupons/{}", "twenty", body=body)["coupon"]
    assert (changed["amount_cents"], changed["name"]) == (2_000, "New name")
    assert api("GET", "/applied_coupons")["applied_coupons"][0]["coupon_name"] == "New name"


def test_applying_a_coupon(api: Api) -> None:
    coupon(api, FIXED)
    api.customer(currency=None)
    applied = apply(api, "ten", amount_cents=700, frequency="recurring", frequency_duration=3)
    assert applied["amount_cents"] == 700
    assert (applied["frequency_duration"], applied["frequency_duration_remaining"]) == (3, 3)
    assert applied["amount_cents_remaining"] is None
    assert apply(api, "ten")["amount_cents_remaining"] == 1_000
    assert api("GET", "/customers/{}", "acme")["customer"]["currency"] == "EUR"
    listed = api("GET", "/customers/{}/applied_coupons", "acme")["applied_coupons"]
    assert [each["amount_cents"] for each in listed] == [1_000, 700]
    body = {"applied_coupon": {"external_customer_id": "nobody", "coupon_code": "ten"}}
    refusal = api("POST", "/applied_coupons", body=body, status=404)
    assert refusal["code"] == "customer_not_found"
    body = {"applied_coupon": {"external_customer_id": "acme", "coupon_code": "none"}}
    assert api("POST", "/applied_coupons", body=body, status=404)["code"] == "coupon_not_found"


def test_a_coupon_that_is_over_cannot_be_applied_but_goes_on(api: Api) -> None:
    coupon(api, PERCENT)
    api.customer()
    apply(api, "half")
    api.set_clock("2024-06-01T00:00:01Z")
    assert api("GET", "/coupons/{}", "half")["coupon"]["terminated_at"] == "2024-06-01T00:00:00Z"
    body = {"applied_coupon": {"external_customer_id": "acme", "coupon_code": "half"}}
    assert api("POST", "/applied_coupons", body=body, status=404)["code"] == "coupon_not_found"
    listed = api("GET", "/applied_coupons", query={"status": "active"})["applied_coupons"]
    assert [(each["status"], each["coupon_status"]) for each in listed] == [
        ("active", "terminated")
    ]


def test_a_coupon_is_used_once_where_it_says_so(api: Api) -> None:
    coupon(api, FIXED, reusable=False)
    api.customer()
    apply(api, "ten")
    body = {"applied_coupon": {"external_customer_id": "acme", "coupon_code": "ten"}}
    refusal = api("POST", "/applied_coupons", body=body, status=422)
    assert refusal["error_details"] == {"coupon": ["coupon_is_not_reusable"]}


def test_limited_coupons_may_not_overlap(api: Api) -> None:
    metric = api.metric()
    charge = {
        "billable_metric_id": metric["lago_id"],
        "charge_model": "standard",
        "properties": {"amount": "1"},
    }
    api.plan(charges=[charge])
    api.plan("other")
    api.customer()
    for code, limits in (
        ("plan", {"plan_codes": ["basic"]}),
        ("metric", {"billable_metric_codes": ["storage"]}),
        ("elsewhere", {"plan_codes": ["other"]}),
        ("anywhere", {}),
    ):
        coupon(api, FIXED, code=code, applies_to=limits)
    first = apply(api, "plan")
    for code in ("plan", "metric"):
        body = {"applied_coupon": {"external_customer_id": "acme", "coupon_code": code}}
        refusal = api("POST", "/applied_coupons", body=body, status=405)
        assert refusal["code"] == "plan_overlapping"
    for code in ("elsewhere", "anywhere", "anywhere"):
        apply(api, code)
    path = "/customers/{}/applied_coupons/{}"
    for _ in range(2):
        ended = api("DELETE", path, "acme", first["lago_id"])["applied_coupon"]
        assert (ended["status"], ended["terminated_at"]) == ("terminated", "2024-03-15T12:00:00Z")
    apply(api, "metric")
    api("DELETE", path, "acme", "0196f3a0-0000-8000-8000-0000abcd7f21", status=404)


def test_deleting_a_coupon_ends_it_for_everybody(api: Api) -> None:
    coupon(api, FIXED)
    api.customer()
    apply(api, "ten")
    api("DELETE", "/coupons/{}", "ten")
    api("GET", "/coupons/{}", "ten", status=404)
    active = {"status": "active"}
    assert api("GET", "/applied_coupons", query=active)["applied_coupons"] == []
    (ended,) = api("GET", "/applied_coupons", query={"coupon_code[]": "ten"})["applied_coupons"]
    assert (ended["status"], ended["coupon_status"]) == ("terminated", "terminated")
    assert ended["terminated_at"] == ended["coupon_deleted_at"] == "2024-03-15T12:00:00Z"
    coupon(api, FIXED)
