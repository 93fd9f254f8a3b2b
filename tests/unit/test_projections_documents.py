"""Every document is what the public API document and the functional contract ask for."""

from __future__ import annotations

from typing import Any

import msgspec
import projection_history as log
import pytest
import wire
from projection_history import Engine, replace

from lago_engine.domain import events
from lago_engine.projecting.presenting import HIDDEN

SCHEMAS = {
    "organization": "OrganizationObject",
    "billable_metric": "BillableMetricObject",
    "tax": "TaxObject",
    "add_on": "AddOnObject",
    "plan": "PlanObject",
    "webhook_endpoint": "WebhookEndpointObject",
    "customer": "CustomerObjectExtended",
    "subscription": "SubscriptionObject",
    "invoice": "InvoiceObjectExtended",
    "fee": "FeeObject",
    "payment": "PaymentObject",
}


@pytest.fixture
def engine() -> Engine:
    made = Engine()
    made.feed(*log.CONFIGURATION, *log.SUBSCRIBING)
    return made


def shown(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != HIDDEN}


def assert_members(document: dict[str, Any], names: str) -> None:
    """The document has exactly these members, in the order of the contract."""
    assert list(document) == names.split()


@pytest.mark.parametrize("kind", SCHEMAS)
def test_documents_of_a_whole_history_fit_their_schema_at_any_time(kind: str) -> None:
    engine, checked = Engine(), 0
    for fact in log.HISTORY:
        engine.feed(fact)
        for _, _, body in engine.documents.iter_kind(kind):
            wire.assert_schema(SCHEMAS[kind], shown(msgspec.json.decode(body)))
            checked += 1
    assert checked > 0


def test_organization(engine: Engine) -> None:
    document = engine.document("organization", log.ORGANIZATION_ID)
    assert_members(
        document,
        "lago_id name slug default_currency created_at webhook_url webhook_urls country"
        " address_line1 address_line2 state zipcode email city legal_name legal_number timezone"
        " net_payment_term email_settings document_numbering document_number_prefix"
        " tax_identification_number finalize_zero_amount_invoice billing_configuration"
        " events_store taxes",
    )
    assert document["webhook_url"] == "https://b.example.test/hook", "the oldest endpoint"
    assert document["webhook_urls"][1] == "https://a.example.test/hook"
    assert document["net_payment_term"] == 15
    assert document["slug"] == "acme-cloud"
    assert [tax["code"] for tax in document["taxes"]] == ["vat"]


def test_organization_without_endpoints_shows_an_empty_url() -> None:
    engine = Engine()
    engine.feed(log.CONFIGURATION[0])
    document = engine.document("organization", log.ORGANIZATION_ID)
    assert (document["webhook_url"], document["webhook_urls"]) == ("", [])


def test_tax_rates_are_numbers_with_their_own_digits(engine: Engine) -> None:
    body = engine.body("tax", "vat")
    assert body is not None
    assert b'"rate":20.5,' in body
    whole = engine.body("tax", "levy")
    assert whole is not None
    assert b'"rate":3.0,' in whole
    assert engine.document("tax", "vat")["applied_to_billing_entities_codes"] == ["acme_cloud"]
    assert engine.document("tax", "levy")["applied_to_billing_entities_codes"] == []


def test_renamed_items_leave_their_old_key(engine: Engine) -> None:
    assert engine.body("tax", "old_vat") is None
    assert engine.body("billable_metric", "space") is None
    assert engine.body("plan", "basic") is None
    assert engine.document("billable_metric", "storage")["lago_id"] == str(log.METRIC.id)


def test_deleted_items_are_gone(engine: Engine) -> None:
    engine.feed(*log.BILLING, *log.PAYING, *log.LEAVING)
    assert engine.body("billable_metric", "calls") is None
    assert engine.body("plan", "spare") is None
    assert engine.body("tax", "levy") is None
    assert engine.body("webhook_endpoint", log.CHOOSY_ENDPOINT.id) is None
    organization = engine.document("organization", log.ORGANIZATION_ID)
    assert organization["webhook_urls"] == ["https://b.example.test/hook"]


def test_metric(engine: Engine) -> None:
    assert_members(
        engine.document("billable_metric", "storage"),
        "lago_id name code description aggregation_type weighted_interval recurring"
        " rounding_function rounding_precision created_at field_name expression"
        " active_subscriptions_count draft_invoices_count plans_count filters",
    )


def test_plan_shows_taxes_as_they_are_now(engine: Engine) -> None:
    plan = engine.document("plan", "pro")
    assert [tax["name"] for tax in plan["taxes"]] == ["VAT"], "renamed after the plan was made"
    assert [tax["code"] for tax in plan["charges"][0]["taxes"]] == ["levy"]
    engine.feed(events.TaxDeleted(tax=log.LEVY))
    assert engine.document("plan", "pro")["charges"][0]["taxes"] == []


def test_plan_members(engine: Engine) -> None:
    plan = engine.document("plan", "pro")
    assert_members(
        plan,
        "lago_id name invoice_display_name created_at code interval description amount_cents"
        " amount_currency trial_period pay_in_advance bill_charges_monthly"
        " bill_fixed_charges_monthly customers_count active_subscriptions_count"
        " draft_invoices_count parent_id pending_deletion charges fixed_charges entitlements"
        " usage_thresholds applicable_usage_thresholds taxes metadata",
    )
    assert_members(
        plan["charges"][0],
        "lago_id lago_billable_metric_id code invoice_display_name billable_metric_code created_at"
        " charge_model invoiceable regroup_paid_fees pay_in_advance prorated min_amount_cents"
        " accepts_target_wallet properties applied_pricing_unit lago_parent_id filters taxes",
    )
    assert plan["metadata"] == {"team": "blue", "none": None}
    spare = engine.document("plan", "spare")
    assert "metadata" not in spare
    assert spare["trial_period"] == 7.5


def test_grouping_keys_of_a_charge_are_mirrored(engine: Engine) -> None:
    grouped = replace(log.CHARGE, properties={"amount": "1", "pricing_group_keys": ["region"]})
    engine.feed(
        events.PlanUpdated(
            plan=replace(log.PLAN, version=3, charges=(grouped,)), previous_code="pro"
        )
    )
    properties = engine.document("plan", "pro")["charges"][0]["properties"]
    assert properties["grouped_by"] == properties["pricing_group_keys"] == ["region"]


def test_payment_provider_shows_no_configured_value(engine: Engine) -> None:
    body = engine.body("payment_provider", "psp")
    assert body is not None
    assert b"sk_very_secret" not in body
    assert b'"processing"' not in body
    assert engine.document("payment_provider", "psp")["config_keys"] == ["outcome", "secret_key"]


def test_customer(engine: Engine) -> None:
    document = shown(engine.document("customer", "cus_1"))
    assert_members(
        document,
        "lago_id billing_entity_code external_id account_type name firstname lastname"
        " customer_type sequential_id slug created_at updated_at country address_line1"
        " address_line2 state zipcode email city url phone logo_url legal_name legal_number"
        " currency tax_identification_number timezone applicable_timezone net_payment_term"
        " external_salesforce_id finalize_zero_amount_invoice billing_configuration"
        " shipping_address skip_invoice_custom_sections metadata integration_customers taxes"
        " applicable_invoice_custom_sections error_details",
    )
    assert document["created_at"] == "2026-03-01T09:30:15Z"
    assert document["applicable_timezone"] == "Europe/Paris"
    assert document["billing_configuration"]["provider_customer_id"] == "pc_1"
    assert [tax["code"] for tax in document["taxes"]] == ["levy"]


def test_customer_without_a_provider(engine: Engine) -> None:
    document = engine.document("customer", "cus/2 ü")
    assert list(document["billing_configuration"]) == [
        "invoice_grace_period",
        "payment_provider",
        "payment_provider_code",
        "document_locale",
        "subscription_invoice_issuing_date_anchor",
        "subscription_invoice_issuing_date_adjustment",
    ]
    assert document["timezone"] == document["applicable_timezone"] == "Asia/Tokyo"


def test_subscription(engine: Engine) -> None:
    document = shown(engine.document("subscription", log.SUBSCRIPTION.id))
    assert_members(
        document,
        "lago_id external_id lago_customer_id external_customer_id billing_entity_code name"
        " plan_code plan_amount_cents plan_amount_currency status billing_time subscription_at"
        " started_at trial_ended_at ending_at terminated_at canceled_at created_at"
        " previous_plan_code next_plan_code downgrade_plan_date current_billing_period_started_at"
        " current_billing_period_ending_at on_termination_credit_note on_termination_invoice"
        " progressive_billing_disabled consolidate_invoice purchase_order_number"
        " cancellation_reason activated_at payment_method activation_rules",
    )
    assert document["started_at"] == "2026-03-01T09:30:15.123Z"
    assert document["subscription_at"] == "2026-03-01T09:30:15Z"
    assert document["name"] == ""
    assert document["plan_amount_cents"] == 9900
    # The usage of the first period begins at the very start and ends with the month in Paris.
    assert document["current_billing_period_started_at"] == "2026-03-01T09:30:15Z"
    assert document["current_billing_period_ending_at"] == "2026-03-31T21:59:59Z"


def test_pending_subscription_has_no_period() -> None:
    engine = Engine()
    engine.feed(*log.CONFIGURATION, *log.SUBSCRIBING[:4])
    document = engine.document("subscription", log.WAITING.id)
    assert document["status"] == "pending"
    assert document["started_at"] is None
    assert document["current_billing_period_started_at"] is None


def test_subscriptions_follow_the_zone_of_their_customer(engine: Engine) -> None:
    assert engine.document("subscription", log.SUBSCRIPTION.id)[HIDDEN]["timezone"] is None
    engine.feed(events.CustomerUpdated(customer=replace(log.CUSTOMER, timezone="Asia/Tokyo")))
    for subscription in (log.SUBSCRIPTION, log.WAITING, log.RECONSIDERED):
        document = engine.document("subscription", subscription.id)
        assert document[HIDDEN]["timezone"] == "Asia/Tokyo"


def test_draft_invoice(engine: Engine) -> None:
    engine.feed(events.InvoiceDrafted(invoice=log.DRAFT))
    document = engine.document("invoice", log.DRAFT.id)
    assert document["sequential_id"] is None
    assert document["number"] == "ACM-7F21-DRAFT"
    assert document[HIDDEN]["expected_finalization_date"] == "2026-04-04"
    assert engine.count("fee") == 1


def test_refresh_replaces_the_fees(engine: Engine) -> None:
    engine.feed(*log.BILLING[:2])
    assert engine.body("fee", log.BASE_FEE.id) is None
    assert engine.body("fee", log.make_id("fee of a draft")) is not None
    engine.feed(log.BILLING[2])
    assert engine.body("fee", log.make_id("fee of a draft")) is None
    assert engine.count("fee") == 2


def test_finalized_invoice(engine: Engine) -> None:
    engine.feed(*log.BILLING[:3])
    document = engine.document("invoice", log.FINAL.id)
    assert_members(
        shown(document),
        "lago_id billing_entity_code sequential_id number purchase_order_number issuing_date"
        " payment_due_date net_payment_term invoice_type status payment_status"
        " payment_dispute_lost_at payment_overdue currency fees_amount_cents taxes_amount_cents"
        " progressive_billing_credit_amount_cents coupons_amount_cents credit_notes_amount_cents"
        " sub_total_excluding_taxes_amount_cents sub_total_including_taxes_amount_cents"
        " total_amount_cents total_due_amount_cents total_paid_amount_cents"
        " total_offsetted_credit_note_amount_cents prepaid_credit_amount_cents"
        " prepaid_granted_credit_amount_cents prepaid_purchased_credit_amount_cents xml_url web_url"
        " version_number self_billed created_at updated_at voided_at customer subscriptions"
        " billing_periods fees credits metadata applied_taxes error_details"
        " applied_invoice_custom_sections",
    )
    assert document["total_due_amount_cents"] == 12019
    assert document["created_at"] == "2026-04-01T00:00:00Z"
    # "Later" comes before "Pro", in both sections.
    assert [each["external_id"] for each in document["subscriptions"]] == ["sub_2", "sub_1"]
    periods = document["billing_periods"]
    assert [each["external_subscription_id"] for each in periods] == ["sub_2", "sub_1"]
    assert periods[0]["charges_from_datetime"] is None
    assert periods[1]["subscription_to_datetime"] == "2026-03-31T21:59:59Z"
    assert [each["tax_rate"] for each in document["applied_taxes"]] == [20.5, 3.0]
    assert all(HIDDEN not in each for each in document["subscriptions"])


def test_usage_fee(engine: Engine) -> None:
    engine.feed(*log.BILLING[:3])
    fee = engine.document("fee", log.USAGE_FEE.id)
    expected = {
        "amount_cents": 86,
        "precise_amount": "0.86415",
        "precise_total_amount": "0.8900745",
        "taxes_amount_cents": 3,
        "taxes_precise_amount": "0.0259245",
        "taxes_rate": 3.0,
        "total_amount_cents": 89,
        "units": "12.345",
        "total_aggregated_units": "12.345",
        "precise_unit_amount": "0.07",
        "precise_coupons_amount_cents": "0.5",
        # 86 - 0.5 = 85.5, halves go away from zero.
        "sub_total_excluding_taxes_amount_cents": 86,
        "sub_total_excluding_taxes_precise_amount_cents": "85.915",
        "events_count": 3,
        "from_date": "2026-02-28T23:00:00+00:00",
        "to_date": "2026-03-31T21:59:59+00:00",
        "created_at": "2026-04-01T00:00:00Z",
        "payment_status": "pending",
    }
    assert {name: fee[name] for name in expected} == expected
    assert fee["item"]["lago_item_id"] == str(log.METRIC.id)
    assert [tax["lago_fee_id"] for tax in fee["applied_taxes"]] == [fee["lago_id"]]
    on_invoice = engine.document("invoice", log.FINAL.id)["fees"][1]
    assert on_invoice == {name: value for name, value in fee.items() if name != "applied_taxes"}


@pytest.mark.parametrize(("currency", "expected"), [("JPY", "86.415"), ("KWD", "0.086415")])
def test_precise_amounts_are_in_major_units(engine: Engine, currency: str, expected: str) -> None:
    invoice = replace(log.FINAL, currency=currency)
    engine.feed(events.InvoiceFinalized(invoice=invoice, inputs_hash=""))
    assert engine.document("fee", log.USAGE_FEE.id)["precise_amount"] == expected


def test_long_decimals_keep_every_digit(engine: Engine) -> None:
    exact = log.Decimal("1234567890123456789012345678901234.000000000000001")
    fee = replace(log.USAGE_FEE, precise_amount_cents=exact)
    engine.feed(events.InvoiceFinalized(invoice=replace(log.FINAL, fees=(fee,)), inputs_hash=""))
    document = engine.document("fee", fee.id)
    assert document["precise_amount"] == "12345678901234567890123456789012.34000000000000001"
    assert (
        document["sub_total_excluding_taxes_precise_amount_cents"]
        == "1234567890123456789012345678901233.500000000000001"
    )


def test_closed_invoice_is_hidden_with_its_fees(engine: Engine) -> None:
    engine.feed(*log.BILLING[3:4])
    assert engine.count("invoice") == engine.count("fee") == 1
    engine.feed(*log.BILLING[4:5])
    assert engine.count("invoice") == engine.count("fee") == 0


def test_invoice_closed_at_once_makes_no_document(engine: Engine) -> None:
    engine.feed(events.InvoiceClosed(invoice=replace(log.ZERO, status="closed")))
    assert engine.count("invoice") == engine.count("fee") == 0


def test_voided_invoice(engine: Engine) -> None:
    engine.feed(events.InvoiceFinalized(invoice=log.MISTAKEN, inputs_hash=""))
    engine.feed(events.InvoicePaymentOverdue(invoice_id=log.MISTAKEN.id))
    assert engine.document("invoice", log.MISTAKEN.id)["payment_overdue"] is True
    engine.feed(log.BILLING[-1])
    document = engine.document("invoice", log.MISTAKEN.id)
    assert document["status"] == "voided"
    assert document["voided_at"] == "2026-04-05T00:00:00Z"
    assert document["payment_overdue"] is False
    assert document["total_due_amount_cents"] == 0
    assert document["total_amount_cents"] == 12019


def test_money_that_arrives_after_voiding_leaves_nothing_due(engine: Engine) -> None:
    engine.feed(events.InvoiceFinalized(invoice=log.MISTAKEN, inputs_hash=""), log.BILLING[-1])
    late = replace(log.TRANSFER, invoice_id=log.MISTAKEN.id, amount_cents=12000)
    engine.feed(
        events.PaymentRecorded(
            customer=log.CUSTOMER,
            payment=late,
            invoice_payment_status="pending",
            invoice_total_paid_amount_cents=12000,
        )
    )
    document = engine.document("invoice", log.MISTAKEN.id)
    assert document["total_paid_amount_cents"] == 12000
    assert document["total_due_amount_cents"] == 0


def test_invoice_and_fees_follow_payments(engine: Engine) -> None:
    engine.feed(*log.BILLING[:3])
    seen = []
    for fact in log.PAYING:
        engine.feed(fact)
        invoice = engine.document("invoice", log.FINAL.id)
        assert {fee["payment_status"] for fee in invoice["fees"]} == {invoice["payment_status"]}
        for fee in invoice["fees"]:
            single = engine.document("fee", fee["lago_id"])
            assert single["payment_status"] == invoice["payment_status"]
            assert single["applied_taxes"]
        seen.append(
            (
                invoice["payment_status"],
                invoice["total_paid_amount_cents"],
                invoice["total_due_amount_cents"],
                invoice["payment_overdue"],
            )
        )
    assert seen == [
        ("pending", 0, 12019, False),
        ("pending", 0, 12019, False),
        ("failed", 0, 12019, False),
        ("failed", 0, 12019, True),
        ("pending", 2019, 10000, True),
        ("pending", 2019, 10000, True),
        ("succeeded", 12019, 0, False),
    ]


def test_payments_change_nothing_else_of_an_invoice(engine: Engine) -> None:
    engine.feed(*log.BILLING[:3])
    before = engine.document("invoice", log.FINAL.id)
    row = engine.documents.rows()[log.ORGANIZATION_ID, "invoice", str(log.FINAL.id)]
    engine.feed(*log.PAYING)
    after = engine.document("invoice", log.FINAL.id)
    assert list(after) == list(before)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {
        "payment_status",
        "total_paid_amount_cents",
        "total_due_amount_cents",
        "updated_at",
        "fees",
    }
    row_after = engine.documents.rows()[log.ORGANIZATION_ID, "invoice", str(log.FINAL.id)]
    assert (row_after.parent, row_after.sort_key) == (row.parent, row.sort_key)


def test_a_request_for_money_does_not_touch_the_invoice(engine: Engine) -> None:
    engine.feed(*log.BILLING[:3])
    before = engine.body("invoice", log.FINAL.id)
    engine.feed(*log.PAYING[:2])
    assert engine.body("invoice", log.FINAL.id) == before


def test_provider_payment(engine: Engine) -> None:
    engine.feed(*log.BILLING[:3], *log.PAYING[:2])
    document = engine.document("payment", log.ATTEMPT.id)
    assert_members(
        document,
        "lago_id lago_customer_id external_customer_id invoice_ids invoice_numbers lago_payable_id"
        " payable_type amount_cents amount_currency status payment_status type reference"
        " payment_provider_code payment_provider_type external_payment_id provider_payment_id"
        " provider_customer_id next_action created_at",
    )
    assert document["payment_provider_type"] == "stripe", "what the connection simulates"
    assert document["reference"] == ""
    assert document["next_action"]["redirect_to_url"]["url"] == "https://psp.test/3ds"
    engine.feed(log.PAYING[2])
    assert engine.document("payment", log.ATTEMPT.id)["next_action"] == {}


def test_manual_payment(engine: Engine) -> None:
    engine.feed(*log.BILLING[:3], *log.PAYING)
    document = engine.document("payment", log.TRANSFER.id)
    assert document["type"] == "manual"
    assert document["payment_provider_type"] is None
    assert document["reference"] == "bank transfer 7"


@pytest.mark.parametrize(
    ("kind", "key", "parent", "sort_key"),
    [
        ("organization", str(log.ORGANIZATION_ID), None, "00001772357415123456"),
        ("tax", "levy", None, "a levy"),
        ("plan", "pro", None, "00001772357415123456"),
        ("webhook_endpoint", str(log.ENDPOINT.id), None, "https://b.example.test/hook"),
        ("payment_provider", "psp", None, "00001772357415123456"),
        ("customer", "cus/2 ü", None, "00001772357415123456"),
        ("subscription", str(log.SUBSCRIPTION.id), "cus_1", "00001772357415123456"),
        ("invoice", str(log.FINAL.id), "cus_1", "2026-04-0400001775001600500000"),
        ("fee", str(log.BASE_FEE.id), "cus_1", "00001775001600500000"),
        ("payment", str(log.TRANSFER.id), "cus_1", "00001777593600500000"),
    ],
)
def test_keys_parents_and_places(
    engine: Engine, kind: str, key: str, parent: str | None, sort_key: str
) -> None:
    engine.feed(*log.BILLING[:3], *log.PAYING)
    row = engine.documents.rows()[log.ORGANIZATION_ID, kind, key]
    assert (row.parent, row.sort_key) == (parent, sort_key)
