"""A log written by hand that holds every event documents are made of, and what it takes to read it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from lago_engine.domain import events, ids
from lago_engine.domain.catalog.entities import (
    AddOn,
    BillableMetric,
    Charge,
    Coupon,
    MinimumCommitment,
    Organization,
    PaymentConnection,
    Plan,
    PricingUnit,
    Tax,
    WebhookEndpoint,
)
from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import (
    Address,
    BillingConfiguration,
    CustomerMetadata,
    CustomerProfile,
)
from lago_engine.domain.customer.state import (
    InvoiceMetadata,
    Payment,
    PaymentLink,
    PaymentReceipt,
    PlanChange,
    Refund,
    Subscription,
)
from lago_engine.domain.events import DomainEvent
from lago_engine.domain.invoicing.applied_coupon import AppliedCoupon
from lago_engine.domain.invoicing.credit_note import (
    CreditNote,
    CreditNoteAmounts,
    CreditNoteItem,
    CreditNoteTax,
)
from lago_engine.domain.invoicing.issued import GeneratedDocument, Issuer
from lago_engine.domain.invoicing.model import (
    AppliedTax,
    BilledEvent,
    Credit,
    Fee,
    Invoice,
    InvoiceLink,
    StandaloneFee,
)
from lago_engine.domain.rating.in_advance.counter import Counter
from lago_engine.domain.timezones import micros
from lago_engine.domain.wallets.model import (
    Consumption,
    MetadataPair,
    RecurringRule,
    Wallet,
    WalletTransaction,
)
from lago_engine.projecting import Envelope, InlineRunner, MemoryDocuments, find_projections
from lago_engine.store.outbox import OutboxEntry
from lago_engine.webhooks.outbox import WebhookOutbox

ORGANIZATION_ID = UUID("0196f3a0-0000-8000-8000-0000abcd7f21")
START = datetime(2026, 3, 1, 9, 30, 15, 123456, tzinfo=UTC)
REAL_TIME = datetime(2027, 1, 1, tzinfo=UTC)

replace = msgspec.structs.replace


def make_id(name: str) -> UUID:
    return ids.derive("projection history", name)


ORGANIZATION = Organization(
    id=ORGANIZATION_ID,
    name="Acme Cloud",
    created_at=START,
    hmac_key="3f0c2a58-5d6e-4a0b-9b9b-0d8a0f6f4b11",
    document_number_prefix="ACM-7F21",
    billing_entity_code="acme_cloud",
    default_currency="EUR",
    timezone="Europe/Paris",
    email="billing@acme.test",
    email_settings=("invoice.finalized",),
    test=True,
)
ENDPOINT = WebhookEndpoint(
    id=make_id("endpoint"), webhook_url="https://b.example.test/hook", created_at=START
)
CHOOSY_ENDPOINT = WebhookEndpoint(
    id=make_id("choosy endpoint"),
    webhook_url="https://a.example.test/hook",
    created_at=START + timedelta(seconds=1),
    signature_algo="hmac",
    name="only money",
    event_types=("invoice.payment_status_updated", "payment.succeeded"),
)
CONNECTION = PaymentConnection(
    id=make_id("connection"),
    code="psp",
    provider="simulated",
    name="Our PSP",
    created_at=START,
    config={"secret_key": "sk_very_secret", "outcome": "processing"},
    simulated_as="stripe",
)
VAT = Tax(
    id=make_id("vat"),
    code="vat",
    name="VAT",
    rate=Decimal("20.5"),
    created_at=START,
    applied_to_organization=True,
)
LEVY = Tax(id=make_id("levy"), code="levy", name="A levy", rate=Decimal(3), created_at=START)
ADD_ON = AddOn(
    id=make_id("add-on"),
    code="setup",
    name="Setup",
    amount_cents=19900,
    amount_currency="EUR",
    created_at=START,
    tax_ids=(VAT.id, LEVY.id),
)
CREDITS = PricingUnit(
    id=make_id("pricing unit"), code="credits", name="Credits", short_name="CR", created_at=START
)
METRIC = BillableMetric(
    id=make_id("metric"),
    code="storage",
    name="Storage",
    aggregation_type="sum_agg",
    field_name="gb",
    rounding_function="round",
    rounding_precision=2,
    created_at=START,
)
SPARE_METRIC = BillableMetric(
    id=make_id("spare metric"),
    code="calls",
    name="Calls",
    aggregation_type="count_agg",
    created_at=START,
)
CHARGE = Charge(
    id=make_id("charge"),
    code="storage",
    billable_metric_id=METRIC.id,
    billable_metric_code="storage",
    charge_model="standard",
    properties={"amount": "0.07"},
    created_at=START,
    tax_ids=(LEVY.id,),
)
PLAN = Plan(
    id=make_id("plan"),
    version=1,
    code="pro",
    name="Pro",
    interval="monthly",
    amount_cents=9900,
    amount_currency="EUR",
    pay_in_advance=False,
    created_at=START,
    tax_ids=(VAT.id,),
    charges=(CHARGE,),
    metadata={"team": "blue", "none": None},
)
SPARE_PLAN = Plan(
    id=make_id("spare plan"),
    version=1,
    code="spare",
    name="Spare",
    interval="yearly",
    amount_cents=0,
    amount_currency="JPY",
    pay_in_advance=True,
    created_at=START,
    description="Nobody has it",
    invoice_display_name="Spare part",
    trial_period=Decimal("7.5"),
    bill_charges_monthly=True,
)
CUSTOMER = CustomerProfile(
    id=make_id("customer"),
    organization_id=ORGANIZATION_ID,
    external_id="cus_1",
    sequential_id=1,
    slug="ACM-7F21-001",
    billing_entity_code="acme_cloud",
    created_at=START,
    updated_at=START,
    customer_type="company",
    name="Émile & <Sons>",
    email="emile@sons.test",
    currency="EUR",
    address=Address(country="FR", city="Lyon"),
    metadata=(
        CustomerMetadata(
            id=make_id("metadata"), key="crm", value="42", created_at=START, display_in_invoice=True
        ),
    ),
    tax_ids=(LEVY.id,),
    billing_configuration=BillingConfiguration(
        payment_provider="stripe",
        payment_provider_code="psp",
        provider_customer_id="pc_1",
        sync_with_provider=True,
        provider_payment_methods=("card",),
    ),
)
PLAIN_CUSTOMER = replace(
    CUSTOMER,
    id=make_id("plain customer"),
    external_id="cus/2 ü",
    sequential_id=2,
    slug="ACM-7F21-002",
    customer_type=None,
    name=None,
    email=None,
    currency=None,
    address=Address(),
    metadata=(),
    tax_ids=(),
    timezone="Asia/Tokyo",
    billing_configuration=BillingConfiguration(),
)
SUBSCRIPTION = Subscription(
    id=make_id("subscription"),
    external_id="sub_1",
    plan_id=PLAN.id,
    plan_code=PLAN.code,
    status="active",
    billing_time="calendar",
    subscription_at=START,
    created_at=START,
    started_at=START,
    activated_at=START,
)
WAITING = Subscription(
    id=make_id("waiting subscription"),
    external_id="sub_2",
    name="Later",
    plan_id=PLAN.id,
    plan_code=PLAN.code,
    status="pending",
    billing_time="anniversary",
    subscription_at=START + timedelta(days=20),
    created_at=START,
    on_termination_credit_note="skip",
    purchase_order_number="PO-7",
)
RECONSIDERED = replace(WAITING, id=make_id("canceled subscription"), external_id="sub_3")

BILLED_AT = datetime(2026, 4, 1, 0, 0, 0, 500000, tzinfo=UTC)


def applied_tax(name: str, tax: Tax, amount_cents: int, base_cents: int) -> AppliedTax:
    return AppliedTax(
        id=make_id(name),
        tax_id=tax.id,
        tax_code=tax.code,
        tax_name=tax.name,
        tax_rate=tax.rate,
        tax_description=tax.description,
        amount_cents=amount_cents,
        precise_amount_cents=Decimal(amount_cents),
        fees_amount_cents=base_cents,
    )


BASE_FEE = Fee(
    id=make_id("base fee"),
    fee_type="subscription",
    subscription_id=SUBSCRIPTION.id,
    external_subscription_id=SUBSCRIPTION.external_id,
    item_id=SUBSCRIPTION.id,
    item_type="Subscription",
    item_code=PLAN.code,
    item_name=PLAN.name,
    item_description=None,
    invoice_display_name=PLAN.name,
    amount_cents=9900,
    precise_amount_cents=Decimal("9900.4"),
    units=Decimal(1),
    unit_amount_cents=9900,
    precise_unit_amount=Decimal(99),
    amount_details={"plan_amount_cents": 9900},
    pay_in_advance=False,
    from_datetime=datetime(2026, 2, 28, 23, tzinfo=UTC),
    to_datetime=datetime(2026, 3, 31, 21, 59, 59, 999999, tzinfo=UTC),
    taxes=(applied_tax("base fee vat", VAT, 2030, 9900),),
    taxes_amount_cents=2030,
    precise_taxes_amount_cents=Decimal("2029.582"),
    taxes_rate=Decimal("20.5"),
)
USAGE_FEE = replace(
    BASE_FEE,
    id=make_id("usage fee"),
    fee_type="charge",
    charge_id=CHARGE.id,
    item_id=METRIC.id,
    item_type="BillableMetric",
    item_code=METRIC.code,
    item_name=METRIC.name,
    invoice_display_name=METRIC.name,
    amount_cents=86,
    precise_amount_cents=Decimal("86.415"),
    units=Decimal("12.345"),
    unit_amount_cents=7,
    precise_unit_amount=Decimal("0.07"),
    amount_details={},
    events_count=3,
    taxes=(applied_tax("usage fee levy", LEVY, 3, 86),),
    taxes_amount_cents=3,
    precise_taxes_amount_cents=Decimal("2.59245"),
    taxes_rate=Decimal(3),
    precise_coupons_amount_cents=Decimal("0.5"),
)
LINK = InvoiceLink(
    subscription_id=SUBSCRIPTION.id,
    external_subscription_id=SUBSCRIPTION.external_id,
    plan_id=PLAN.id,
    plan_version=1,
    timestamp=BILLED_AT,
    recurring=True,
    invoicing_reason="subscription_periodic",
    timezone="Europe/Paris",
    from_datetime=BASE_FEE.from_datetime,
    to_datetime=BASE_FEE.to_datetime,
    charges_from_datetime=START,
    charges_to_datetime=BASE_FEE.to_datetime,
    fixed_charges_from_datetime=None,
    fixed_charges_to_datetime=None,
    order_name="Pro",
)
SECOND_LINK = replace(
    LINK,
    subscription_id=WAITING.id,
    external_subscription_id=WAITING.external_id,
    charges_from_datetime=None,
    charges_to_datetime=None,
    order_name="Later",
)
DRAFT = Invoice(
    id=make_id("invoice"),
    customer_id=CUSTOMER.id,
    customer=CUSTOMER,
    billing_entity_code="acme_cloud",
    status="draft",
    payment_status="pending",
    currency="EUR",
    number="ACM-7F21-DRAFT",
    sequential_id=None,
    entity_sequential_id=None,
    issuing_date=date(2026, 4, 4),
    expected_finalization_date=date(2026, 4, 4),
    payment_due_date=date(2026, 4, 19),
    net_payment_term=15,
    created_at=BILLED_AT,
    updated_at=BILLED_AT,
    links=(LINK, SECOND_LINK),
    fees=(BASE_FEE,),
    applied_taxes=(applied_tax("invoice vat", VAT, 2030, 9900),),
    fees_amount_cents=9900,
    sub_total_excluding_taxes_amount_cents=9900,
    taxes_amount_cents=2030,
    taxes_rate=Decimal("20.5"),
    sub_total_including_taxes_amount_cents=11930,
    total_amount_cents=11930,
)
FINAL = replace(
    DRAFT,
    status="finalized",
    number="ACM-7F21-001-001",
    sequential_id=1,
    fees=(BASE_FEE, USAGE_FEE),
    applied_taxes=(
        *DRAFT.applied_taxes,
        applied_tax("invoice levy", LEVY, 3, 86),
    ),
    fees_amount_cents=9986,
    sub_total_excluding_taxes_amount_cents=9986,
    taxes_amount_cents=2033,
    taxes_rate=Decimal("20.35"),
    sub_total_including_taxes_amount_cents=12019,
    total_amount_cents=12019,
    finalized_at=BILLED_AT + timedelta(days=3),
    updated_at=BILLED_AT + timedelta(days=3),
)


def other_invoice(name: str, **changes: Any) -> Invoice:
    """Another invoice with one fee of its own."""
    fee = replace(BASE_FEE, id=make_id(f"{name} fee"))
    invoice = replace(FINAL, id=make_id(name), links=(LINK,), fees=(fee,))
    return replace(invoice, number=f"ACM-7F21-001-{name}", **changes)


ZERO = other_invoice("zero", status="draft", sequential_id=None)
MISTAKEN = other_invoice("mistaken")

ATTEMPT = Payment(
    id=make_id("attempt"),
    invoice_id=FINAL.id,
    invoice_number=FINAL.number,
    type="provider",
    amount_cents=12019,
    amount_currency="EUR",
    status="pending",
    payment_status="pending",
    created_at=BILLED_AT + timedelta(days=3),
    provider="simulated",
    connection_code="psp",
    provider_customer_id="pc_1",
    idempotency_key="payment-1",
)
NEEDS_ACTION = replace(
    ATTEMPT,
    status="requires_action",
    payment_status="processing",
    provider_payment_id="pi_1",
    action_url="https://psp.test/3ds",
)
DECLINED = replace(
    NEEDS_ACTION,
    status="canceled",
    payment_status="failed",
    action_url=None,
    error_code="card_declined",
    error_message="Not enough money",
)
TRANSFER = Payment(
    id=make_id("transfer"),
    invoice_id=FINAL.id,
    invoice_number=FINAL.number,
    type="manual",
    amount_cents=2019,
    amount_currency="EUR",
    status="succeeded",
    payment_status="succeeded",
    created_at=BILLED_AT + timedelta(days=30),
    reference="bank transfer 7",
)
SECOND_ATTEMPT = replace(ATTEMPT, id=make_id("second attempt"), amount_cents=10000)


def payment_change(payment: Payment, status: Any, paid_cents: int) -> events.PaymentStatusChanged:
    return events.PaymentStatusChanged(
        customer=CUSTOMER,
        payment=payment,
        invoice_payment_status=status,
        invoice_total_paid_amount_cents=paid_cents,
    )


CONFIGURATION: tuple[DomainEvent, ...] = (
    events.OrganizationCreated(organization=ORGANIZATION),
    events.OrganizationUpdated(organization=replace(ORGANIZATION, net_payment_term=15)),
    events.WebhookEndpointCreated(endpoint=ENDPOINT),
    events.WebhookEndpointCreated(endpoint=replace(CHOOSY_ENDPOINT, name=None)),
    events.WebhookEndpointUpdated(endpoint=CHOOSY_ENDPOINT),
    events.PaymentConnectionSet(connection=CONNECTION),
    events.TaxCreated(tax=replace(VAT, code="old_vat", name="Old VAT")),
    events.TaxCreated(tax=LEVY),
    events.AddOnCreated(add_on=replace(ADD_ON, code="installation")),
    events.AddOnUpdated(add_on=ADD_ON, previous_code="installation"),
    events.PricingUnitCreated(pricing_unit=replace(CREDITS, name="Points")),
    events.PricingUnitUpdated(pricing_unit=CREDITS),
    events.BillableMetricCreated(metric=replace(METRIC, code="space")),
    events.BillableMetricUpdated(metric=METRIC, previous_code="space"),
    events.BillableMetricCreated(metric=SPARE_METRIC),
    events.PlanCreated(plan=replace(PLAN, code="basic", amount_cents=4900)),
    events.PlanUpdated(plan=replace(PLAN, version=2), previous_code="basic"),
    events.TaxUpdated(tax=VAT, previous_code="old_vat"),
    events.PlanCreated(plan=SPARE_PLAN),
)

SUBSCRIBING: tuple[DomainEvent, ...] = (
    events.CustomerCreated(customer=CUSTOMER),
    events.CustomerCreated(customer=PLAIN_CUSTOMER),
    events.SubscriptionCreated(customer=CUSTOMER, subscription=SUBSCRIPTION),
    events.SubscriptionCreated(customer=CUSTOMER, subscription=WAITING),
    events.SubscriptionCreated(customer=CUSTOMER, subscription=RECONSIDERED),
    events.SubscriptionCanceled(
        customer=CUSTOMER,
        subscription=replace(RECONSIDERED, status="canceled", canceled_at=START),
    ),
    events.SubscriptionStarted(
        customer=CUSTOMER,
        subscription=replace(
            WAITING,
            status="active",
            started_at=WAITING.subscription_at,
            activated_at=WAITING.subscription_at,
        ),
    ),
)

BILLING: tuple[DomainEvent, ...] = (
    events.InvoiceDrafted(invoice=DRAFT),
    events.InvoiceRefreshed(
        invoice=replace(DRAFT, fees=(replace(USAGE_FEE, id=make_id("fee of a draft")),))
    ),
    events.InvoiceFinalized(invoice=FINAL, inputs_hash="ab" * 32),
    events.InvoiceDrafted(invoice=ZERO),
    events.InvoiceClosed(invoice=replace(ZERO, status="closed")),
    events.InvoiceFinalized(invoice=MISTAKEN, inputs_hash="cd" * 32),
    events.InvoiceVoided(invoice_id=MISTAKEN.id, voided_at=BILLED_AT + timedelta(days=4)),
)

PAYING: tuple[DomainEvent, ...] = (
    events.PaymentRequested(customer=CUSTOMER, payment=ATTEMPT),
    payment_change(NEEDS_ACTION, "pending", 0),
    payment_change(DECLINED, "failed", 0),
    events.InvoicePaymentOverdue(invoice_id=FINAL.id),
    events.PaymentRecorded(
        customer=CUSTOMER,
        payment=TRANSFER,
        invoice_payment_status="pending",
        invoice_total_paid_amount_cents=2019,
        receipt=PaymentReceipt(
            id=make_id("receipt"), number=f"{CUSTOMER.slug}-RCPT-000001", created_at=BILLED_AT
        ),
    ),
    events.PaymentRequested(customer=CUSTOMER, payment=SECOND_ATTEMPT),
    payment_change(
        replace(
            SECOND_ATTEMPT,
            status="succeeded",
            payment_status="succeeded",
            provider_payment_id="pi_2",
        ),
        "succeeded",
        12019,
    ),
)

CHANGING: tuple[DomainEvent, ...] = (
    events.SubscriptionTrialEnded(
        customer=CUSTOMER,
        subscription=replace(SUBSCRIPTION, trial_ended_at=BILLED_AT + timedelta(days=30)),
    ),
    events.SubscriptionUpdated(
        customer=CUSTOMER,
        subscription=replace(
            SUBSCRIPTION,
            replaced_by=PlanChange(
                subscription_id=RECONSIDERED.id,
                plan_id=SUBSCRIPTION.plan_id,
                succession="downgrade",
            ),
        ),
    ),
)

COUPON = Coupon(
    id=make_id("coupon"),
    code="spring",
    name="Spring",
    coupon_type="percentage",
    percentage_rate=Decimal(10),
    frequency="recurring",
    frequency_duration=2,
    expiration="time_limit",
    expiration_at=BILLED_AT + timedelta(days=20),
    created_at=START,
    plan_ids=(PLAN.id,),
    billable_metric_ids=(METRIC.id,),
)
APPLIED_COUPON = AppliedCoupon(
    id=make_id("applied coupon"),
    coupon_id=COUPON.id,
    coupon_code=COUPON.code,
    frequency="recurring",
    frequency_duration=2,
    frequency_duration_remaining=2,
    percentage_rate=Decimal(10),
    created_at=START,
)
CREDIT = Credit(
    id=make_id("credit"),
    item_type="coupon",
    item_id=COUPON.id,
    item_code=COUPON.code,
    item_name=COUPON.name,
    amount_cents=100,
    applied_coupon_id=APPLIED_COUPON.id,
)
CREDIT_NOTE = CreditNote(
    id=make_id("credit note"),
    customer_id=CUSTOMER.id,
    invoice_id=FINAL.id,
    invoice_number=FINAL.number,
    billing_entity_code="acme_cloud",
    sequential_id=1,
    number=f"{FINAL.number}-CN001",
    currency="EUR",
    issuing_date=BILLED_AT.date(),
    reason="other",
    amounts=CreditNoteAmounts(
        items=(
            CreditNoteItem(
                id=make_id("credit note item"),
                fee_id=BASE_FEE.id,
                amount_cents=1_000,
                precise_amount_cents=Decimal("999.5"),
            ),
        ),
        applied_taxes=(
            CreditNoteTax(
                id=make_id("credit note tax"),
                tax_id=VAT.id,
                tax_code=VAT.code,
                tax_name=VAT.name,
                tax_rate=VAT.rate,
                tax_description=None,
                base_amount_cents=1_000,
                amount_cents=205,
            ),
        ),
        coupons_adjustment_amount_cents=0,
        precise_coupons_adjustment_amount_cents=Decimal(0),
        taxes_amount_cents=205,
        precise_taxes_amount_cents=Decimal("204.8975"),
        taxes_rate=VAT.rate,
        sub_total_excluding_taxes_amount_cents=1_000,
        precise_total_amount_cents=Decimal("1204.3975"),
    ),
    total_amount_cents=1_205,
    credit_amount_cents=1_000,
    refund_amount_cents=105,
    offset_amount_cents=100,
    balance_amount_cents=1_000,
    created_at=BILLED_AT,
    updated_at=BILLED_AT,
    refund_status="pending",
)
USED_NOTE = replace(CREDIT_NOTE, balance_amount_cents=400)

REFUND = Refund(
    credit_note_id=CREDIT_NOTE.id,
    payment_id=SECOND_ATTEMPT.id,
    provider="manual",
    connection_code=SECOND_ATTEMPT.connection_code or "",
    provider_customer_id="cus_9",
    provider_payment_id="pi_2",
    amount_cents=105,
    amount_currency="EUR",
    idempotency_key=f"{CREDIT_NOTE.id}:refund:1",
)
UNWANTED = other_invoice("unwanted", status="draft", sequential_id=None)

CORRECTING: tuple[DomainEvent, ...] = (
    events.CouponCreated(coupon=replace(COUPON, code="early spring")),
    events.CouponUpdated(coupon=COUPON, previous_code="early spring"),
    events.CouponApplied(customer=CUSTOMER, applied_coupon=APPLIED_COUPON),
    events.CouponUsed(
        applied_coupon=replace(APPLIED_COUPON, frequency_duration_remaining=1),
        invoice_id=FINAL.id,
        credit=CREDIT,
        currency="EUR",
    ),
    events.CouponGivenBack(
        applied_coupon=APPLIED_COUPON, invoice_id=FINAL.id, amount_cents=CREDIT.amount_cents
    ),
    events.AppliedCouponTerminated(
        applied_coupon=replace(APPLIED_COUPON, status="terminated", terminated_at=BILLED_AT)
    ),
    events.CouponDeleted(coupon=replace(COUPON, deleted_at=BILLED_AT)),
    events.CreditNoteCreated(
        customer=CUSTOMER,
        credit_note=CREDIT_NOTE,
        invoice_payment_status="succeeded",
        invoice_total_offsetted_amount_cents=100,
    ),
    events.CreditNoteConsumed(credit_note=USED_NOTE, invoice_id=MISTAKEN.id, amount_cents=600),
    events.CreditNoteRestored(credit_note=CREDIT_NOTE, invoice_id=MISTAKEN.id, amount_cents=600),
    events.CreditNoteUpdated(credit_note=replace(CREDIT_NOTE, metadata={"k": "v"})),
    events.RefundRequested(customer=CUSTOMER, refund=REFUND),
    events.RefundStatusChanged(
        customer=CUSTOMER,
        refund=replace(REFUND, provider_refund_id="re_1"),
        credit_note=replace(CREDIT_NOTE, refund_status="failed"),
        error_code="expired",
        error_message="The card is gone.",
    ),
    events.CreditNoteVoided(
        credit_note=replace(CREDIT_NOTE, credit_status="voided", balance_amount_cents=0)
    ),
    events.InvoiceMetadataSet(
        invoice_id=FINAL.id,
        metadata=(
            InvoiceMetadata(id=make_id("entry"), key="order", value="7", created_at=BILLED_AT),
        ),
    ),
    events.InvoiceDrafted(invoice=UNWANTED),
    events.InvoiceDeleted(invoice=UNWANTED),
    events.InvoicePaymentDisputeLost(invoice_id=FINAL.id, lost_at=BILLED_AT),
    events.InvoicePaymentStatusUpdated(invoice_id=FINAL.id, payment_status="failed"),
    events.PaymentLinkOpened(
        customer=CUSTOMER,
        link=PaymentLink(
            payment=replace(ATTEMPT, id=make_id("paid by link")),
            url="https://pay.example/1",
            expires_at=BILLED_AT + timedelta(days=1),
        ),
    ),
    events.DocumentGenerated(
        document=GeneratedDocument(
            kind="invoice",
            id=FINAL.id,
            number=FINAL.number,
            sha256="00" * 32,
            size_bytes=1,
            pdf_standard="a-3b",
            template_sha256="11" * 32,
            compiler="typst 0.15.1",
            issuer=Issuer(name="Hooli"),
        )
    ),
)

CHILD_PLAN = replace(
    PLAN,
    id=make_id("child plan"),
    parent_id=PLAN.id,
    metadata=None,
    charges=(replace(CHARGE, id=make_id("child charge"), parent_id=CHARGE.id),),
    minimum_commitment=MinimumCommitment(
        id=make_id("commitment"), amount_cents=500, created_at=START, updated_at=START
    ),
)

LEAVING: tuple[DomainEvent, ...] = (
    events.CustomerUpdated(customer=replace(CUSTOMER, timezone="America/New_York")),
    events.SubscriptionTerminated(
        customer=replace(CUSTOMER, timezone="America/New_York"),
        subscription=replace(
            SUBSCRIPTION, status="terminated", terminated_at=BILLED_AT + timedelta(days=40)
        ),
    ),
    events.SubscriptionRepriced(
        customer=CUSTOMER,
        subscription=replace(RECONSIDERED, status="canceled", plan_override=CHILD_PLAN),
    ),
    events.BillableMetricDeleted(metric=SPARE_METRIC),
    events.PlanDeletionRequested(plan=replace(SPARE_PLAN, pending_deletion=True)),
    events.PlanDeleted(plan=replace(SPARE_PLAN, pending_deletion=True)),
    events.TaxDeleted(tax=LEVY),
    events.AddOnDeleted(add_on=ADD_ON),
    events.WebhookEndpointDeleted(endpoint=CHOOSY_ENDPOINT),
)

LONE_FEE = replace(
    USAGE_FEE,
    id=make_id("lone fee"),
    pay_in_advance=True,
    invoiceable=False,
    billed_event=BilledEvent(
        place=(7, 3, 0),
        transaction_id="tx-7",
        timestamp=BILLED_AT,
        bucket=make_id("bucket"),
        counter=Counter(unused=Decimal("1.5")),
    ),
)


def standing_alone(fee: Fee) -> StandaloneFee:
    return StandaloneFee(
        fee=fee,
        customer_id=CUSTOMER.id,
        external_customer_id=CUSTOMER.external_id,
        currency="EUR",
        created_at=BILLED_AT + timedelta(days=1),
        self_billed=False,
        regroup=True,
    )


DELETED_FEE_ID = make_id("deleted fee")
REGROUPED = other_invoice(
    "regrouped", fees=(LONE_FEE,), links=(), invoice_type="advance_charges", status="finalized"
)
STANDING_ALONE: tuple[DomainEvent, ...] = (
    events.FeeCreated(fee=standing_alone(LONE_FEE)),
    events.FeeCreated(fee=standing_alone(replace(LONE_FEE, id=DELETED_FEE_ID))),
    events.FeeDeleted(fee_id=DELETED_FEE_ID),
    events.FeePaymentStatusChanged(
        fee_id=LONE_FEE.id, payment_status="failed", changed_at=BILLED_AT + timedelta(days=2)
    ),
    events.FeePaymentStatusChanged(
        fee_id=LONE_FEE.id, payment_status="succeeded", changed_at=BILLED_AT + timedelta(days=3)
    ),
    events.FeePaymentStatusChanged(
        fee_id=DELETED_FEE_ID, payment_status="failed", changed_at=BILLED_AT + timedelta(days=3)
    ),
    events.InvoiceFinalized(invoice=REGROUPED, inputs_hash="ef" * 32),
)

WALLET = Wallet(
    id=make_id("wallet"),
    customer_id=CUSTOMER.id,
    external_customer_id=CUSTOMER.external_id,
    billing_entity_code=CUSTOMER.billing_entity_code,
    currency="EUR",
    code="main",
    rate=Decimal("0.5"),
    created_at=START,
    updated_at=START,
    rules=(
        RecurringRule(
            id=make_id("rule"),
            trigger="threshold",
            created_at=START,
            threshold_credits=Decimal(10),
            transaction_metadata=(MetadataPair(key="k", value="v"),),
        ),
    ),
    metadata={"k": None},
)
FUNDED_WALLET = replace(WALLET, balance_cents=1_000)
GRANT = WalletTransaction(
    id=make_id("grant"),
    wallet_id=WALLET.id,
    transaction_type="inbound",
    transaction_status="granted",
    status="settled",
    amount_cents=1_000,
    credit_amount=Decimal(20),
    created_at=START,
    remaining_amount_cents=1_000,
    settled_at=START,
)
OPEN_TOP_UP = other_invoice(
    "top up", status="open", sequential_id=None, links=(), invoice_type="credit"
)
PURCHASE = replace(
    GRANT,
    id=make_id("purchase"),
    transaction_status="purchased",
    status="pending",
    remaining_amount_cents=None,
    settled_at=None,
    invoice_id=OPEN_TOP_UP.id,
)
VOIDED_CREDITS = replace(
    GRANT,
    id=make_id("voided credits"),
    transaction_type="outbound",
    transaction_status="voided",
    amount_cents=300,
    remaining_amount_cents=None,
    consumed=(Consumption(id=make_id("consumption"), inbound_id=GRANT.id, amount_cents=300),),
)
LEFT_WALLET = replace(WALLET, balance_cents=700, consumed_cents=300)
PREPAYING: tuple[DomainEvent, ...] = (
    events.WalletCreated(customer=CUSTOMER, wallet=WALLET),
    events.WalletTransactionCreated(wallet=FUNDED_WALLET, transaction=GRANT),
    events.WalletRuleApplied(wallet=FUNDED_WALLET, rule_id=WALLET.rules[0].id),
    events.WalletTransactionCreated(wallet=FUNDED_WALLET, transaction=PURCHASE),
    events.InvoiceOpened(invoice=OPEN_TOP_UP),
    events.WalletTransactionFailed(
        wallet=FUNDED_WALLET, transaction=replace(PURCHASE, status="failed", failed_at=BILLED_AT)
    ),
    events.InvoiceFinalized(
        invoice=replace(OPEN_TOP_UP, status="finalized", sequential_id=9), inputs_hash="cd" * 32
    ),
    events.WalletTransactionSettled(
        wallet=replace(WALLET, balance_cents=2_000),
        transaction=replace(
            PURCHASE, status="settled", settled_at=BILLED_AT, remaining_amount_cents=1_000
        ),
    ),
    events.WalletTransactionCreated(wallet=LEFT_WALLET, transaction=VOIDED_CREDITS),
    events.WalletBalanceRefreshed(
        wallet=replace(LEFT_WALLET, depleted=True, ongoing_usage_cents=900)
    ),
    events.WalletUpdated(wallet=replace(LEFT_WALLET, name="Spring")),
    events.WalletTerminated(
        wallet=replace(LEFT_WALLET, status="terminated", terminated_at=BILLED_AT)
    ),
)

DELETED: tuple[DomainEvent, ...] = (
    events.CustomerDeleted(customer=replace(CUSTOMER, deleted_at=BILLED_AT + timedelta(days=41))),
)

HISTORY = (
    *CONFIGURATION, *SUBSCRIBING, *BILLING, *PAYING, *CHANGING, *CORRECTING, *LEAVING,
    *STANDING_ALONE, *PREPAYING, *DELETED,
)  # fmt: skip


def envelope(number: int) -> Envelope:
    """Of the number-th event: one real second and one virtual day after the one before."""
    return Envelope(
        recorded_at_us=micros(REAL_TIME + timedelta(seconds=number)),
        occurred_at_us=micros(START + timedelta(days=number)),
        actor="api_key:test",
        correlation_id=f"correlation-{number}",
        causation_id="",
        organization_id=ORGANIZATION_ID,
    )


def enveloped(facts: Iterable[DomainEvent]) -> list[tuple[Envelope, DomainEvent]]:
    return [(envelope(number), fact) for number, fact in enumerate(facts)]


class Engine:
    """The part of the engine between a decided event and its commit, with the real projections."""

    def __init__(self) -> None:
        found = find_projections()
        assert not found.failures
        assert not found.missing_kinds
        self.documents = MemoryDocuments()
        self.runner = InlineRunner(found.projections, self.documents)
        self.outbox = WebhookOutbox()
        self.organization: OrganizationState | None = None
        self.deliveries: list[OutboxEntry] = []
        self.events_count = 0

    def feed(self, *facts: DomainEvent) -> list[OutboxEntry]:
        """Project events, one commit each; the deliveries they set off."""
        made: list[OutboxEntry] = []
        for fact in facts:
            around = envelope(self.events_count)
            self.events_count += 1
            self.organization = evolve_organization(self.organization, fact)
            self.runner.apply(around, fact, self.organization)
            made += self.outbox.entries(
                fact,
                around,
                self.organization,
                self.runner.documents,
                after_sequence=len(self.deliveries) + len(made),
            )
            self.documents.write(self.runner.take_changes())
            self.runner.commit()
        self.deliveries += made
        return made

    def body(self, kind: str, key: object) -> bytes | None:
        return self.documents.get(ORGANIZATION_ID, kind, str(key))

    def document(self, kind: str, key: object) -> dict[str, Any]:
        body = self.body(kind, key)
        assert body is not None, f"no {kind} {key}"
        decoded = msgspec.json.decode(body)
        assert isinstance(decoded, dict)
        return decoded

    def count(self, kind: str) -> int:
        return sum(1 for _ in self.documents.iter_kind(kind))
