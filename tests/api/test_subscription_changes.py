"""Updates and changes of plan of `/subscriptions` over HTTP (subscriptions.md §3, §6)."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api

BLOCKS = {"plan", "applicable_usage_thresholds", "applied_invoice_custom_sections"}


@pytest.fixture
def shop(api: Api) -> Api:
    """An organization with plans of 10.00, 20.00 and 5.00, and a customer."""
    for code, amount in (("basic", 1000), ("more", 2000), ("less", 500)):
        api.plan(code=code, amount_cents=amount)
    api.customer()
    return api


def update(shop: Api, external_id: str = "sub", status: int = 200, **fields: Any) -> Any:
    body = shop(
        "PUT", "/subscriptions/{}", external_id, body={"subscription": fields}, status=status
    )
    return body["subscription"] if status == 200 else body


def test_an_upgrade_answers_the_new_subscription(shop: Api) -> None:
    old = shop.subscription()
    new = shop.subscription(plan="more")
    assert new["lago_id"] != old["lago_id"]
    assert (new["status"], new["previous_plan_code"], new["plan"]["code"]) == (
        "active",
        "basic",
        "more",
    )
    gone = shop("GET", "/subscriptions/{}", "sub", query={"status": "terminated"})["subscription"]
    assert (gone["lago_id"], gone["next_plan_code"]) == (old["lago_id"], "more")


def test_a_downgrade_answers_the_current_subscription(shop: Api) -> None:
    old = shop.subscription()
    answered = shop.subscription(plan="less")
    assert answered["lago_id"] == old["lago_id"]
    assert (answered["status"], answered["next_plan_code"]) == ("active", "less")
    assert answered["downgrade_plan_date"] == "2024-04-01"
    shop.set_clock("2024-04-15T00:00:00Z")
    shown = shop("GET", "/subscriptions/{}", "sub")["subscription"]
    assert shown["downgrade_plan_date"] == "2024-05-01"
    (waiting,) = shop("GET", "/subscriptions", query={"status[]": "pending"})["subscriptions"]
    assert (waiting["previous_plan_code"], waiting["started_at"]) == ("basic", None)


def test_billing_executes_a_downgrade(shop: Api) -> None:
    shop.subscription()
    shop.subscription(plan="less")
    shop.set_clock("2024-04-01T00:10:00Z")
    shop("POST", "/test_clock/run", body={"test_clock": {"tasks": ["billing"]}})
    shown = shop("GET", "/subscriptions/{}", "sub")["subscription"]
    assert (shown["plan_code"], shown["started_at"]) == ("less", "2024-04-01T00:00:00.000Z")
    (invoice,) = shop("GET", "/invoices")["invoices"]
    whole = shop("GET", "/invoices/{}", invoice["lago_id"])["invoice"]
    assert whole["billing_periods"][0]["invoicing_reason"] == "subscription_terminating"


def test_a_plan_that_replaces_one_before_the_start(shop: Api) -> None:
    waiting = shop.subscription(subscription_at="2024-05-01T00:00:00Z")
    answered = shop.subscription(plan="less")
    assert answered["lago_id"] == waiting["lago_id"]
    assert (answered["status"], answered["plan_code"]) == ("pending", "less")


def test_update(shop: Api) -> None:
    created = shop.subscription(name="Main", ending_at="2024-12-24T00:00:00Z")
    changes = {
        "name": " Renamed ",
        "ending_at": None,
        "purchase_order_number": "PO-7",
        "consolidate_invoice": False,
        "progressive_billing_disabled": True,
        "on_termination_invoice": "skip",
    }
    changed = update(shop, **changes)
    expected = changes | {"name": "Renamed"}
    assert {key: changed[key] for key in expected} == expected
    assert set(changed) >= BLOCKS
    assert "entitlements" not in changed
    assert set(changed) - set(created) == set()
    # Every other field stays.
    assert update(shop, name="Renamed") == changed


def test_a_plan_in_arrears_has_no_credit_note_option(shop: Api) -> None:
    shop.subscription()
    assert update(shop, on_termination_credit_note="skip")["on_termination_credit_note"] is None
    shop.plan(code="ahead", amount_cents=1, pay_in_advance=True)
    shop.subscription("ahead", plan="ahead")
    changed = update(shop, "ahead", on_termination_credit_note="skip")
    assert changed["on_termination_credit_note"] == "skip"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ending_at": "never"}, {"ending_at": ["invalid_date"]}),
        ({"ending_at": "2024-03-15T23:00:00Z"}, {"ending_at": ["invalid_date"]}),
        ({"on_termination_invoice": "x"}, {"on_termination_invoice": ["invalid_value"]}),
        ({"on_termination_credit_note": 3}, {"on_termination_credit_note": ["invalid_value"]}),
        ({"payment_method": {"payment_method_type": "manual"}},
         {"payment_method": ["invalid_payment_method"]}),
        ({"usage_thresholds": [{"amount_cents": 1}]},
         {"usage_thresholds": ["not_supported_yet"]}),
        ({"activation_rules": [{"type": "payment"}]},
         {"activation_rules": ["subscription_not_pending"]}),
    ],
)  # fmt: skip
def test_refusals(shop: Api, fields: dict[str, Any], expected: Any) -> None:
    created = shop.subscription()
    assert update(shop, status=422, **fields)["error_details"] == expected
    assert shop("GET", "/subscriptions/{}", "sub")["subscription"] == created


def test_an_unknown_subscription_is_not_found(shop: Api) -> None:
    assert update(shop, status=404, name="x")["code"] == "subscription_not_found"


def test_an_ended_subscription_keeps_its_order_number(shop: Api) -> None:
    shop.subscription(purchase_order_number="PO-1")
    shop("DELETE", "/subscriptions/{}", "sub")
    refused = update(shop, status=405, purchase_order_number="PO-2")
    assert refused["code"] == "purchase_order_number_not_editable"
    assert update(shop, purchase_order_number="PO-1", name="Gone")["name"] == "Gone"


def test_which_of_several_is_updated(shop: Api) -> None:
    shop.subscription()
    shop.subscription(plan="less")
    assert update(shop, name="now")["plan_code"] == "basic"
    query, body = {"status": "pending"}, {"subscription": {"name": "later"}}
    changed = shop("PUT", "/subscriptions/{}", "sub", query=query, body=body)["subscription"]
    assert (changed["plan_code"], changed["status"]) == ("less", "pending")


@pytest.mark.parametrize(
    ("subscription_at", "status", "invoices"),
    [
        ("2024-04-20T00:00:00Z", "pending", 0),
        ("2024-03-15T08:00:00Z", "active", 1),
        ("2024-03-02T00:00:00Z", "active", 0),
    ],
)
def test_moving_the_start(shop: Api, subscription_at: str, status: str, invoices: int) -> None:
    shop.plan(code="ahead", pay_in_advance=True)
    shop.subscription(plan="ahead", subscription_at="2024-05-01T00:00:00Z")
    moved = update(shop, subscription_at=subscription_at)
    assert (moved["status"], moved["subscription_at"]) == (status, subscription_at)
    assert len(shop("GET", "/invoices")["invoices"]) == invoices
    # The start of an active one stays where it is.
    later = "2024-06-01T00:00:00Z"
    if status == "active":
        assert update(shop, subscription_at=later)["subscription_at"] == subscription_at


def test_a_later_end_brings_the_billing_days_back(shop: Api) -> None:
    shop.subscription(ending_at="2024-03-20T00:00:00Z")
    update(shop, ending_at=None)
    shop("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-05-01T00:00:00Z"}})
    assert len(shop("GET", "/invoices")["invoices"]) == 2


def test_webhooks_of_an_update(shop: Api) -> None:
    shop(
        "POST",
        "/webhook_endpoints",
        body={"webhook_endpoint": {"webhook_url": "http://127.0.0.1:9"}},
    )
    shop.subscription(subscription_at="2024-05-01T00:00:00Z")
    update(shop, subscription_at="2024-06-01T00:00:00Z")
    update(shop, name="Soon")
    update(shop, subscription_at="2024-03-15T00:00:00Z")
    sent = shop("GET", "/test_clock/webhooks", query={"per_page": 50})["webhooks"]
    names = [row["webhook_type"] for row in sent if row["object_type"] == "subscription"]
    assert names == ["subscription.updated", "subscription.started", "subscription.updated"]
    assert "entitlements" in sent[0]["payload"]["subscription"]
