"""Which webhooks follow from events, what they carry, and to whom they go."""

from __future__ import annotations

from typing import Any

import msgspec
import projection_history as log
import pytest
import wire
from projection_history import Engine, replace

from lago_engine.domain import events
from lago_engine.domain.catalog.webhook_types import WEBHOOK_TYPES
from lago_engine.domain.events import DomainEvent
from lago_engine.store.outbox import OutboxEntry
from lago_engine.webhooks.notices import INVOICE_SECTIONS

SCHEMAS = {
    "wallet": "WalletObject",
    "wallet_transaction": "WalletTransactionObjectExtended",
    "fee": "FeeObject",
    "billable_metric": "BillableMetricObject",
    "plan": "PlanObject",
    "customer": "CustomerObject",
    "subscription": "SubscriptionWithCustomerObject",
    "invoice": "InvoiceObjectExtended",
    "payment": "PaymentObject",
    "payment_receipt": "PaymentReceiptObject",
    "payment_provider_invoice_payment_error": "InvoicePaymentFailureObject",
    "credit_note_payment_provider_refund_error": "CreditNotePaymentProviderRefundError",
    "credit_note": "CreditNoteExtendedObject",
    "payment_dispute_lost": "InvoicePaymentDisputeLostObject",
}


@pytest.fixture
def engine() -> Engine:
    made = Engine()
    made.feed(*log.CONFIGURATION, *log.SUBSCRIBING)
    return made


def payload(entry: OutboxEntry) -> dict[str, Any]:
    envelope = msgspec.json.decode(entry.payload)
    assert list(envelope) == ["webhook_type", "object_type", "organization_id", entry.object_type]
    body = envelope[entry.object_type]
    assert isinstance(body, dict)
    return body


def types(entries: list[OutboxEntry], endpoint: Any = log.ENDPOINT) -> list[str]:
    return [entry.webhook_type for entry in entries if entry.endpoint_id == endpoint.id]


def only(entries: list[OutboxEntry], webhook_type: str) -> dict[str, Any]:
    (entry,) = (
        entry
        for entry in entries
        if entry.webhook_type == webhook_type and entry.endpoint_id == log.ENDPOINT.id
    )
    return payload(entry)


def test_every_payload_of_a_history_fits_its_schema() -> None:
    engine = Engine()
    engine.feed(*log.HISTORY)
    assert {entry.object_type for entry in engine.deliveries} == set(SCHEMAS)
    for entry in engine.deliveries:
        assert entry.webhook_type in WEBHOOK_TYPES
        body = payload(entry)
        # The document shows the invoice itself; api_conventions.md §10.3 wraps it.
        body = body.get("invoice", body)
        wire.assert_schema(SCHEMAS[entry.object_type], body)
        assert b'"_":' not in entry.payload


def test_the_whole_sequence_of_a_history() -> None:
    engine = Engine()
    engine.feed(*log.HISTORY)
    assert types(engine.deliveries) == [
        "billable_metric.created",
        "billable_metric.updated",
        "billable_metric.created",
        "plan.created",
        "plan.updated",
        "plan.created",
        "customer.created",
        "customer.created",
        "subscription.started",
        "subscription.canceled",
        "subscription.started",
        "invoice.drafted",
        "invoice.ready_to_finalize",
        "invoice.created",
        "invoice.drafted",
        "invoice.ready_to_finalize",
        "invoice.created",
        "invoice.voided",
        "payment.requires_action",
        "invoice.payment_failure",
        "invoice.payment_status_updated",
        "invoice.payment_overdue",
        "invoice.payment_status_updated",
        "payment_receipt.created",
        "payment.succeeded",
        "invoice.payment_status_updated",
        "subscription.trial_ended",
        "subscription.updated",
        "credit_note.created",
        "credit_note.provider_refund_failure",
        "invoice.drafted",
        "invoice.ready_to_finalize",
        "invoice.deleted",
        "invoice.payment_dispute_lost",
        "invoice.payment_status_updated",
        "customer.updated",
        "subscription.terminated",
        "billable_metric.deleted",
        "plan.deleted",
        "fee.created",
        "fee.created",
        "invoice.created",
        "wallet.created",
        "wallet_transaction.created",
        "wallet.updated",
        "wallet_transaction.created",
        "wallet_transaction.updated",
        "invoice.paid_credit_added",
        "wallet_transaction.updated",
        "wallet.updated",
        "wallet_transaction.created",
        "wallet.updated",
        "wallet.depleted_ongoing_balance",
        "wallet.updated",
        "wallet.terminated",
    ]


def test_endpoints_get_what_they_subscribed_to() -> None:
    engine = Engine()
    engine.feed(*log.HISTORY)
    chosen = types(engine.deliveries, log.CHOOSY_ENDPOINT)
    assert set(chosen) == set(log.CHOOSY_ENDPOINT.event_types or ())
    entry = next(e for e in engine.deliveries if e.endpoint_id == log.CHOOSY_ENDPOINT.id)
    assert (entry.signature_algo, entry.webhook_url) == ("hmac", log.CHOOSY_ENDPOINT.webhook_url)


def test_no_endpoint_no_delivery() -> None:
    engine = Engine()
    engine.feed(log.CONFIGURATION[0])
    assert engine.feed(events.BillableMetricCreated(metric=log.METRIC)) == []


def test_an_empty_choice_is_no_choice_of_everything(engine: Engine) -> None:
    engine.feed(
        events.WebhookEndpointDeleted(endpoint=log.CHOOSY_ENDPOINT),
        events.WebhookEndpointUpdated(endpoint=replace(log.ENDPOINT, event_types=())),
    )
    assert engine.feed(events.InvoiceFinalized(invoice=log.FINAL, inputs_hash="")) == []


def test_ids_and_numbers_are_the_same_on_every_replay() -> None:
    runs = [Engine(), Engine()]
    for engine in runs:
        engine.feed(*log.HISTORY)
    assert runs[0].deliveries == runs[1].deliveries
    numbers = [entry.org_sequence for entry in runs[0].deliveries]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({entry.id for entry in runs[0].deliveries}) == len(numbers)


def test_deliveries_are_due_at_once_by_real_time(engine: Engine) -> None:
    number = engine.events_count
    (entry,) = engine.feed(events.BillableMetricDeleted(metric=log.SPARE_METRIC))
    assert entry.created_at_us == log.envelope(number).recorded_at_us
    assert entry.next_attempt_at_us == entry.created_at_us


def test_bodies_are_escaped_for_signing(engine: Engine) -> None:
    (entry,) = engine.feed(events.CustomerUpdated(customer=log.CUSTOMER))
    assert rb'"name":"\u00c9mile' not in entry.payload
    assert 'Émile \\u0026 \\u003cSons\\u003e"'.encode() in entry.payload
    assert b"<" not in entry.payload
    assert payload(entry)["name"] == "Émile & <Sons>"


@pytest.mark.parametrize(
    ("webhook_type", "facts", "sections"),
    [
        (
            "invoice.drafted",
            log.BILLING[:1],
            "customer subscriptions billing_periods fees credits applied_taxes error_details",
        ),
        (
            "invoice.ready_to_finalize",
            log.BILLING[:1],
            "customer subscriptions billing_periods fees credits applied_taxes error_details",
        ),
        (
            "invoice.created",
            log.BILLING[2:3],
            "customer subscriptions billing_periods fees credits applied_taxes"
            " applied_invoice_custom_sections",
        ),
        (
            "invoice.voided",
            log.BILLING[5:],
            "customer subscriptions billing_periods fees credits applied_taxes",
        ),
        ("invoice.payment_status_updated", log.BILLING[2:3] + log.PAYING[:3], "customer fees"),
        (
            "invoice.payment_overdue",
            log.BILLING[2:3] + log.PAYING[3:4],
            "customer fees applied_taxes",
        ),
    ],
)
def test_invoices_carry_the_sections_of_the_catalogue(
    engine: Engine, webhook_type: str, facts: tuple[DomainEvent, ...], sections: str
) -> None:
    body = only(engine.feed(*facts), webhook_type)
    assert [name for name in body if name in INVOICE_SECTIONS] == sections.split()
    assert body["total_amount_cents"] > 0
    assert body["customer"]["external_id"] == "cus_1"


def test_waiting_subscriptions_are_announced_when_they_start(engine: Engine) -> None:
    waiting = replace(log.WAITING, id=log.make_id("one more"), external_id="sub_9")
    created = events.SubscriptionCreated(customer=log.CUSTOMER, subscription=waiting)
    assert engine.feed(created) == []
    started = replace(waiting, status="active", started_at=waiting.subscription_at)
    entries = engine.feed(events.SubscriptionStarted(customer=log.CUSTOMER, subscription=started))
    assert types(entries) == ["subscription.started"]
    body = only(entries, "subscription.started")
    assert body["status"] == "active"
    assert list(body)[-3:] == ["plan", "customer", "entitlements"]
    assert body["plan"]["charges"][0]["code"] == "storage"
    assert "fixed_charges" not in body["plan"]
    assert "taxes" not in body["customer"]


def test_terminated_subscription(engine: Engine) -> None:
    entries = engine.feed(*log.LEAVING[1:2])
    assert types(entries) == ["subscription.terminated"]
    body = only(entries, "subscription.terminated")
    assert body["terminated_at"] == "2026-05-11T00:00:00Z"
    assert list(body)[-2:] == ["plan", "customer"]


def test_deleted_things_are_sent_as_they_were(engine: Engine) -> None:
    plan = only(engine.feed(events.PlanDeleted(plan=log.SPARE_PLAN)), "plan.deleted")
    assert plan["pending_deletion"] is True
    assert plan["description"] == "Nobody has it"
    assert not {"entitlements", "fixed_charges"} & set(plan)
    metric = only(
        engine.feed(events.BillableMetricDeleted(metric=log.SPARE_METRIC)),
        "billable_metric.deleted",
    )
    assert metric["code"] == "calls"


def test_a_voided_invoice_shows_its_subscriptions_as_they_are(engine: Engine) -> None:
    engine.feed(log.BILLING[5], log.LEAVING[1])
    body = only(engine.feed(log.BILLING[6]), "invoice.voided")
    assert body["status"] == "voided"
    assert [each["status"] for each in body["subscriptions"]] == ["terminated"]


def test_a_declined_payment_is_explained(engine: Engine) -> None:
    entries = engine.feed(log.BILLING[2], *log.PAYING[:3])
    body = only(entries, "invoice.payment_failure")
    assert body == {
        "lago_invoice_id": str(log.FINAL.id),
        "lago_customer_id": str(log.CUSTOMER.id),
        "external_customer_id": "cus_1",
        "provider_customer_id": "pc_1",
        "payment_provider": "stripe",
        "payment_provider_code": "psp",
        "provider_error": {"message": "Not enough money", "error_code": "card_declined"},
        "error_details": None,
    }
    assert only(entries, "invoice.payment_status_updated")["payment_status"] == "failed"


def test_a_payment_that_needs_the_customer_is_sent_once(engine: Engine) -> None:
    engine.feed(log.BILLING[2], log.PAYING[0])
    needs_action = log.payment_change(log.NEEDS_ACTION, "pending", 0)
    entries = engine.feed(needs_action)
    assert types(entries) == ["payment.requires_action"]
    body = only(entries, "payment.requires_action")
    assert body["next_action"]["redirect_to_url"]["url"] == "https://psp.test/3ds"
    assert engine.feed(needs_action) == [], "the same news again"


def test_success_is_sent_once(engine: Engine) -> None:
    engine.feed(log.BILLING[2], log.PAYING[0])
    succeeded = log.payment_change(
        replace(log.ATTEMPT, status="succeeded", payment_status="succeeded"), "succeeded", 12019
    )
    assert types(engine.feed(succeeded)) == ["payment.succeeded", "invoice.payment_status_updated"]
    assert engine.feed(succeeded) == []


def test_partial_transfers_do_not_change_the_status(engine: Engine) -> None:
    engine.feed(log.BILLING[2])
    assert types(engine.feed(log.PAYING[4])) == ["payment_receipt.created"]
    assert engine.document("invoice", log.FINAL.id)["total_paid_amount_cents"] == 2019


def test_hidden_and_quiet_events_send_nothing(engine: Engine) -> None:
    engine.feed(log.BILLING[0])
    assert engine.feed(log.BILLING[1]) == [], "refreshed"
    assert engine.feed(events.InvoiceClosed(invoice=log.DRAFT)) == []
    assert engine.feed(events.TaxCreated(tax=replace(log.VAT, code="x"))) == []
