"""Members that follow the organization or the time, worked out when a document is read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import projection_history as log
import pytest
import wire
from projection_history import Engine, replace

from lago_engine.domain import events
from lago_engine.projecting.presenting import (
    HIDDEN,
    present,
    present_invoice,
    subscription_ids,
)
from lago_engine.projecting.wire import encode, instant, instant_ms, instant_offset

NOON = datetime(2026, 3, 20, 12, tzinfo=UTC)


@pytest.fixture
def engine() -> Engine:
    made = Engine()
    made.feed(*log.CONFIGURATION, *log.SUBSCRIBING, *log.BILLING)
    return made


def presented(engine: Engine, kind: str, key: object, now: datetime = NOON) -> dict[str, Any]:
    body = engine.body(kind, key)
    assert body is not None
    assert engine.organization is not None
    decoded = msgspec.json.decode(encode(present(kind, body, engine.organization, now)))
    assert isinstance(decoded, dict)
    return decoded


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("customer", "cus_1"),
        ("subscription", log.SUBSCRIPTION.id),
        ("invoice", log.FINAL.id),
        ("plan", "pro"),
    ],
)
def test_nothing_hidden_is_shown_and_nothing_else_is_lost(
    engine: Engine, kind: str, key: object
) -> None:
    stored, shown = engine.document(kind, key), presented(engine, kind, key)
    assert HIDDEN not in shown
    assert list(shown) == [name for name in stored if name != HIDDEN]


def test_customers_follow_the_zone_of_the_organization(engine: Engine) -> None:
    moved = replace(log.ORGANIZATION, timezone="America/New_York")
    engine.feed(events.OrganizationUpdated(organization=moved))
    assert presented(engine, "customer", "cus_1")["applicable_timezone"] == "America/New_York"
    assert presented(engine, "customer", "cus/2 ü")["applicable_timezone"] == "Asia/Tokyo"


def test_customers_follow_their_taxes(engine: Engine) -> None:
    renamed = replace(log.LEVY, code="toll", name="Toll", rate=log.Decimal("4.25"))
    engine.feed(events.TaxUpdated(tax=renamed, previous_code="levy"))
    taxes = presented(engine, "customer", "cus_1")["taxes"]
    assert [(tax["code"], tax["rate"]) for tax in taxes] == [("toll", 4.25)]
    engine.feed(events.TaxDeleted(tax=renamed))
    assert presented(engine, "customer", "cus_1")["taxes"] == []


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        # Before the start, the first period is shown.
        (datetime(2026, 2, 1, tzinfo=UTC), "2026-03-01T09:30:15Z", "2026-03-31T21:59:59Z"),
        (datetime(2026, 3, 31, 21, 59, tzinfo=UTC), "2026-03-01T09:30:15Z", "2026-03-31T21:59:59Z"),
        (datetime(2026, 3, 31, 22, tzinfo=UTC), "2026-03-31T22:00:00Z", "2026-04-30T21:59:59Z"),
    ],
)
def test_the_current_period_follows_the_time(
    engine: Engine, now: datetime, start: str, end: str
) -> None:
    shown = presented(engine, "subscription", log.SUBSCRIPTION.id, now)
    assert shown["current_billing_period_started_at"] == start
    assert shown["current_billing_period_ending_at"] == end


def test_the_current_period_follows_the_zone_of_the_organization(engine: Engine) -> None:
    moved = replace(log.ORGANIZATION, timezone="Asia/Tokyo")
    engine.feed(events.OrganizationUpdated(organization=moved))
    shown = presented(engine, "subscription", log.SUBSCRIPTION.id)
    assert shown["current_billing_period_ending_at"] == "2026-03-31T14:59:59Z"


def test_subscriptions_show_the_price_of_their_plan(engine: Engine) -> None:
    dearer = replace(log.PLAN, version=3, amount_cents=12300)
    engine.feed(events.PlanUpdated(plan=dearer, previous_code="pro"))
    assert presented(engine, "subscription", log.SUBSCRIPTION.id)["plan_amount_cents"] == 12300


def test_canceled_subscription_has_no_period(engine: Engine) -> None:
    shown = presented(engine, "subscription", log.RECONSIDERED.id)
    assert shown["current_billing_period_started_at"] is None
    assert shown["current_billing_period_ending_at"] is None


def test_invoices_can_show_their_subscriptions_as_they_are_now(engine: Engine) -> None:
    engine.feed(*log.PAYING, *log.LEAVING[:2])
    body = engine.body("invoice", log.FINAL.id)
    assert body is not None
    assert engine.organization is not None
    ids = subscription_ids(body)
    assert ids == [str(log.WAITING.id), str(log.SUBSCRIPTION.id)]
    stored = [engine.body("subscription", key) for key in reversed(ids)]
    bodies = [each for each in stored if each is not None]
    invoice = present_invoice(body, bodies, engine.organization, NOON)
    shown = msgspec.json.decode(encode(invoice))
    wire.assert_schema("InvoiceObjectExtended", shown)
    assert [each["status"] for each in shown["subscriptions"]] == ["active", "terminated"]
    assert list(shown) == [name for name in engine.document("invoice", log.FINAL.id) if name != "_"]


def test_instants_are_utc_and_cut() -> None:
    moment = datetime.fromisoformat("2026-05-01T01:59:59.999999+02:00")
    assert instant(moment) == "2026-04-30T23:59:59Z"
    assert instant_ms(moment) == "2026-04-30T23:59:59.999Z"
    assert instant_offset(moment) == "2026-04-30T23:59:59+00:00"
