"""A charge in credits over HTTP: plan, usage, estimate, fees; each answer in the shape of the wire (charges.md §10)."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api

CREDITS = {"code": "credits", "conversion_rate": "0.50"}
SHOWN = {"code": "credits", "conversion_rate": "0.5"}
UNIT = {"short_name": "CR", "conversion_rate": "0.5"}


def credits(api: Api, currency: str = "EUR", **charge: Any) -> Any:
    """A customer in the middle of March on a plan whose charge costs a credit per gigabyte; the charge."""
    api.create("pricing_unit", "/pricing_units", code="credits", name="Credits", short_name="CR")
    given = {
        "billable_metric_id": api.metric()["lago_id"],
        "charge_model": "standard",
        "properties": {"amount": "1"},
        "applied_pricing_unit": CREDITS,
    }
    plan = api.plan(amount_currency=currency, charges=[given | charge])
    api.set_clock("2024-03-16T00:00:00Z")
    api.customer()
    api.subscription(subscription_at="2024-03-01T00:00:00Z")
    return plan["charges"][0]


def usage(api: Api, kind: str, wrapper: str) -> Any:
    asked = {"external_subscription_id": "sub"}
    [charge] = api("GET", f"/customers/{{}}/{kind}", "acme", query=asked)[wrapper]["charges_usage"]
    return charge


def test_from_plan_to_past_usage(api: Api) -> None:
    assert credits(api, min_amount_cents=5000)["applied_pricing_unit"] == SHOWN
    api.event("t1", properties={"gb": "12.345"})
    current = usage(api, "current_usage", "customer_usage")
    assert current["amount_cents"] == 618
    assert current["pricing_unit_details"] == {"amount_cents": 1235, **UNIT}
    # 16 of 31 days have begun: 12.345 becomes 23.92.
    projected = usage(api, "projected_usage", "customer_projected_usage")
    assert projected["projected_amount_cents"] == 1196
    in_credits = {"amount_cents": 1235, "projected_amount_cents": 2392, **UNIT}
    assert projected["pricing_unit_details"] == in_credits

    api("POST", "/test_clock/advance", body={"test_clock": {"to": "2024-04-01T06:00:00Z"}})
    fees = api("GET", "/fees", query={"fee_type": "charge"})["fees"]
    assert sorted(fee["pricing_unit_details"]["amount_cents"] for fee in fees) == [1235, 3765]
    assert sorted(fee["amount_cents"] for fee in fees) == [618, 1883]
    asked = {"external_subscription_id": "sub"}
    [period] = api("GET", "/customers/{}/past_usage", "acme", query=asked)["usage_periods"]
    [past] = period["charges_usage"]
    assert past["pricing_unit_details"] == {"amount_cents": 5000, **UNIT}


@pytest.mark.parametrize(("currency", "cents"), [("EUR", 618), ("JPY", 6)])
def test_an_estimate_is_what_is_billed(api: Api, currency: str, cents: int) -> None:
    credits(api, currency, pay_in_advance=True, invoiceable=False)
    event = {"external_subscription_id": "sub", "code": "storage", "properties": {"gb": "12.345"}}
    [estimate] = api("POST", "/events/estimate_instant_fees", body={"event": event})["fees"]
    api.event("t1", properties={"gb": "12.345"})
    [fee] = api("GET", "/fees")["fees"]
    assert (estimate["amount_cents"], fee["amount_cents"]) == (cents, cents)
    assert estimate["precise_amount"] == fee["precise_amount"]
    assert fee["pricing_unit_details"]["amount_cents"] == 1235


def test_the_paths_of_a_charge(api: Api) -> None:
    charge = credits(api)
    body = {"charge": {"applied_pricing_unit": {"code": "gold", "conversion_rate": "2"}}}
    paths = (
        ("/plans/{}/charges/{}", "basic", charge["code"]),
        ("/subscriptions/{}/charges/{}", "sub", charge["code"]),
    )
    for path in paths:
        changed = api("PUT", *path, body=body)["charge"]
        assert changed["applied_pricing_unit"] == {"code": "credits", "conversion_rate": "2.0"}
        refused = {"charge": {"applied_pricing_unit": {"conversion_rate": "0"}}}
        answer = api("PUT", *path, body=refused, status=422)
        assert answer["error_details"] == {"conversion_rate": ["value_is_out_of_range"]}
