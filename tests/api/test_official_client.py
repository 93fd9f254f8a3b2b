"""The official Python client, unmodified, against the server."""

from __future__ import annotations

from typing import Any

import pytest
from api.client import Api
from lago_python_client.client import Client
from lago_python_client.exceptions import LagoApiError
from lago_python_client.models.billable_metric import BillableMetric
from lago_python_client.models.charge import Charge, Charges
from lago_python_client.models.customer import Customer, CustomerBillingConfiguration
from lago_python_client.models.event import BatchEvent, Event
from lago_python_client.models.organization import Organization
from lago_python_client.models.payment import Payment
from lago_python_client.models.plan import Plan
from lago_python_client.models.subscription import Subscription
from lago_python_client.models.tax import Tax
from lago_python_client.models.webhook_endpoint import WebhookEndpoint


@pytest.fixture
def lago(api: Api) -> Client:
    """A client with the key inside the URL: on some lists it sends no other."""
    assert api.key is not None
    return Client(api_key=api.key, api_url=api.url.replace("http://", f"http://{api.key}@"))


def catalog(lago: Client) -> None:
    """A tax, a metric and a plan of ten euros with storage at half a euro."""
    lago.taxes.create(Tax(name="VAT", code="vat", rate=20, applied_to_organization=True))
    metric = lago.billable_metrics.create(
        BillableMetric(name="Storage", code="storage", aggregation_type="sum_agg", field_name="gb")
    )
    charge = Charge(
        billable_metric_id=metric.lago_id, charge_model="standard", properties={"amount": "0.5"}
    )
    lago.plans.create(
        Plan(
            name="Basic",
            code="basic",
            interval="monthly",
            amount_cents=1000,
            amount_currency="EUR",
            pay_in_advance=False,
            charges=Charges(__root__=[charge]),
        )
    )


def subscribe(lago: Client, *, grace_days: int = 0) -> Any:
    configuration = CustomerBillingConfiguration(invoice_grace_period=grace_days)
    lago.customers.create(
        Customer(external_id="acme", name="Acme", billing_configuration=configuration)
    )
    return lago.subscriptions.create(
        Subscription(
            external_customer_id="acme",
            plan_code="basic",
            external_id="sub",
            subscription_at="2024-03-01T00:00:00Z",
        )
    )


def april(api: Api) -> None:
    body = {"test_clock": {"to": "2024-04-01T06:00:00Z"}}
    api("POST", "/test_clock/advance", body=body)


def test_catalog(lago: Client) -> None:
    catalog(lago)
    assert lago.taxes.find("vat").rate == 20
    assert lago.taxes.update(Tax(name="TVA"), "vat").name == "TVA"
    assert [tax.code for tax in lago.taxes.find_all()["taxes"]] == ["vat"]
    assert lago.billable_metrics.find("storage").field_name == "gb"
    assert lago.billable_metrics.update(BillableMetric(name="Disk"), "storage").name == "Disk"
    assert lago.billable_metrics.find_all({"per_page": 1})["meta"]["total_count"] == 1
    assert lago.plans.find("basic").charges.__root__[0].billable_metric_code == "storage"
    assert lago.plans.update(Plan(amount_cents=2000), "basic").amount_cents == 2000
    assert [plan.code for plan in lago.plans.find_all()["plans"]] == ["basic"]
    assert lago.plans.destroy("basic").code == "basic"
    assert lago.billable_metrics.destroy("storage").code == "storage"
    assert lago.taxes.destroy("vat").code == "vat"
    with pytest.raises(LagoApiError) as refused:
        lago.taxes.find("vat")
    assert refused.value.status_code == 404
    assert refused.value.response["code"] == "tax_not_found"


def test_organization_webhook_endpoints_and_key(lago: Client) -> None:
    assert (
        lago.organizations.update(Organization(default_currency="EUR", country="FR")).country
        == "FR"
    )
    made = lago.webhook_endpoints.create(
        WebhookEndpoint(webhook_url="http://127.0.0.1:9/hook", signature_algo="hmac")
    )
    found = lago.webhook_endpoints.find(made.lago_id)
    assert (found.webhook_url, found.signature_algo) == (made.webhook_url, "hmac")
    changed = lago.webhook_endpoints.update(WebhookEndpoint(name="Main"), made.lago_id)
    assert changed.name == "Main"
    assert len(lago.webhook_endpoints.find_all()["webhook_endpoints"]) == 1
    assert lago.webhook_endpoints.destroy(made.lago_id).lago_id == made.lago_id
    assert lago.webhooks.public_key().startswith(b"-----BEGIN PUBLIC KEY-----")


def test_from_usage_to_a_paid_invoice(lago: Client, api: Api) -> None:
    catalog(lago)
    subscription = subscribe(lago)
    assert subscription.status == "active"
    event = Event(
        transaction_id="t1",
        external_subscription_id="sub",
        code="storage",
        timestamp=1_710_500_000,
        properties={"gb": 4},
    )
    assert lago.events.create(event).transaction_id == "t1"
    more = [event.copy(update={"transaction_id": f"b{number}"}) for number in range(2)]
    lago.events.batch_create(BatchEvent(events=more))
    assert lago.events.find("b1").properties == {"gb": 4}
    usage = lago.customers.current_usage("acme", "sub")
    assert usage.charges_usage[0].units == "12.0"
    assert usage.total_amount_cents == 720
    april(api)
    (invoice,) = lago.invoices.find_all({"status": "finalized"})["invoices"]
    assert invoice.total_amount_cents == 1920
    assert [fee.amount_cents for fee in lago.fees.find_all()["fees"]] == [1000, 600]
    assert lago.fees.find(lago.fees.find_all()["fees"][0].lago_id).amount_cents == 1000
    assert lago.invoices.download(invoice.lago_id).file_url
    payment = Payment(invoice_id=invoice.lago_id, amount_cents=1920, reference="wire")
    made = lago.payments.create(payment)
    assert lago.payments.find(made.lago_id).reference == "wire"
    assert [each.lago_id for each in lago.payments.find_all()["payments"]] == [made.lago_id]
    assert lago.invoices.find(invoice.lago_id).payment_status == "succeeded"


def test_drafts(lago: Client, api: Api) -> None:
    catalog(lago)
    subscribe(lago, grace_days=3)
    april(api)
    (draft,) = lago.invoices.find_all()["invoices"]
    assert draft.status == "draft"
    assert lago.invoices.refresh(draft.lago_id).status == "draft"
    assert lago.invoices.finalize(draft.lago_id).status == "finalized"
    assert lago.invoices.retry_payment(draft.lago_id) is None
    assert lago.invoices.void(draft.lago_id).status == "voided"


def test_lists_of_a_customer(lago: Client, api: Api) -> None:
    """given lists for which the client sends no header / then the key in the URL does"""
    catalog(lago)
    subscribe(lago)
    april(api)
    (invoice,) = lago.customer_invoices.find_all("acme")["invoices"]
    lago.payments.create(Payment(invoice_id=invoice.lago_id, amount_cents=10, reference="r"))
    (payment,) = lago.customer_payments.find_all("acme")["payments"]
    assert payment.amount_cents == 10
    (subscription,) = lago.customer_subscriptions.find_all("acme")["subscriptions"]
    assert subscription.external_id == "sub"
    assert [each.external_id for each in lago.customers.find_all()["customers"]] == ["acme"]
    assert lago.customers.find("acme").name == "Acme"


def test_subscriptions(lago: Client) -> None:
    catalog(lago)
    subscribe(lago)
    assert lago.subscriptions.find("sub").plan_code == "basic"
    found = lago.subscriptions.find_all({"plan_code": "basic", "status[]": ["active", "pending"]})
    assert [each.external_id for each in found["subscriptions"]] == ["sub"]
    ended = lago.subscriptions.destroy("sub", {"on_termination_invoice": "skip"})
    assert ended.status == "terminated"


def test_a_change_of_plan_and_an_update(lago: Client) -> None:
    catalog(lago)
    subscribe(lago)
    terms: dict[str, Any] = {"interval": "monthly", "amount_currency": "EUR"}
    lago.plans.create(
        Plan(name="More", code="more", amount_cents=2000, pay_in_advance=True, **terms)
    )
    wanted = Subscription(external_customer_id="acme", external_id="sub", plan_code="more")
    upgraded = lago.subscriptions.create(wanted)
    assert (upgraded.status, upgraded.previous_plan_code) == ("active", "basic")
    back = lago.subscriptions.create(wanted.copy(update={"plan_code": "basic"}))
    assert (back.plan_code, back.next_plan_code) == ("more", "basic")
    assert back.downgrade_plan_date == "2024-04-01"
    renamed = lago.subscriptions.update(Subscription(name="Main"), "sub")
    assert (renamed.name, renamed.plan_code) == ("Main", "more")
    waiting = lago.subscriptions.destroy("sub", {"status": "pending"})
    assert waiting.status == "canceled"


def test_a_wrong_key_is_an_error_of_the_client(api: Api) -> None:
    with pytest.raises(LagoApiError) as refused:
        Client(api_key="wrong", api_url=api.url).plans.find_all()
    assert refused.value.status_code == 401
