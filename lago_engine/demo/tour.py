"""The demo's way through the API, with the official Lago client for Python."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
from lago_python_client import Client
from lago_python_client.models import (
    BatchEvent,
    BillableMetric,
    Customer,
    Plan,
    Subscription,
    Tax,
)
from lago_python_client.models.invoice import InvoiceResponse
from rich.progress import Progress

from lago_engine.demo import story
from lago_engine.demo.sandbox import Sandbox, download


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the tour brings back.

    invoice: the featured one, after its payment; `payments` are its statuses in order.
    seconds: from the first request until the invoice could be read.
    """

    api_key: str
    customers: int
    usage_events: int
    invoices: int
    invoice: Any
    payments: tuple[str, ...]
    pdf: Path
    seconds: float


def take_tour(url: str, folder: Path, progress: Progress) -> Seen:
    """Live through three months at the server; the PDF of an invoice is put into `folder`."""
    started = perf_counter()
    sandbox = Sandbox(url, story.ORGANIZATION)
    sandbox.set_clock(story.MONTHS[0])
    # The client's own annotations make a type checker refuse every call of it.
    client: Any = Client(api_key=sandbox.api_key, api_url=url)
    _set_up(client, sandbox, progress)
    invoices = _live(client, sandbox, progress)
    declined = _featured(client)
    seconds = perf_counter() - started
    paid = _pay_again(client, sandbox, declined)
    return Seen(
        api_key=sandbox.api_key,
        customers=len(story.COMPANIES),
        usage_events=len(story.COMPANIES) * story.EVENTS_PER_CUSTOMER * (len(story.MONTHS) - 1),
        invoices=invoices,
        invoice=paid,
        payments=(declined.payment_status, paid.payment_status),
        pdf=_fetch_pdf(client, paid, folder),
        seconds=seconds,
    )


def _set_up(client: Any, sandbox: Sandbox, progress: Progress) -> None:
    """Catalog, customers and subscriptions."""
    client.taxes.create(Tax(**story.TAX))
    charges = []
    for fields in progress.track(story.METRICS, description="metrics, plan, tax"):
        metric = client.billable_metrics.create(BillableMetric(**fields))
        price = {"amount": story.PRICES[metric.code]}
        charges.append(
            {
                "billable_metric_id": metric.lago_id,
                "charge_model": "standard",
                "properties": price,
            }
        )
    client.plans.create(Plan.parse_obj(story.PLAN | {"charges": charges}))
    for code in (story.GOOD_CARDS, story.BAD_CARD):
        sandbox.connect_payments(code, "succeeded")
    for fields in progress.track(list(story.customers()), description="customers, subscriptions"):
        client.customers.create(Customer(**fields))
        subscription = {
            "external_customer_id": fields["external_id"],
            "external_id": fields["external_id"],
            "plan_code": story.PLAN["code"],
        }
        client.subscriptions.create(Subscription(**subscription))


def _live(client: Any, sandbox: Sandbox, progress: Progress) -> int:
    """Use and bill each month; one card is declined in the last. The number of invoices."""
    invoices = 0
    for start, end in zip(story.MONTHS, story.MONTHS[1:], strict=False):
        batches = story.usage_batches(start, end)
        for events in progress.track(batches, description=f"usage of {start:%B}"):
            client.events.batch_create(BatchEvent.parse_obj({"events": events}))
        if end == story.MONTHS[-1]:
            sandbox.connect_payments(story.BAD_CARD, "insufficient_funds")
        task = progress.add_task(f"clock to {end:%Y-%m-%d}", total=1)
        invoices += sandbox.advance(end.replace(hour=1)).get("invoices", 0)
        progress.update(task, completed=1)
    return invoices


def _featured(client: Any) -> InvoiceResponse:
    """The newest invoice of the first customer, with its fees."""
    found = client.invoices.find_all({"external_customer_id": story.external_id(0), "per_page": 1})
    invoice: InvoiceResponse = client.invoices.find(found["invoices"][0].lago_id)
    return invoice


def _pay_again(client: Any, sandbox: Sandbox, invoice: InvoiceResponse) -> InvoiceResponse:
    """The customer has a new card: the payment is retried."""
    sandbox.connect_payments(story.BAD_CARD, "succeeded")
    client.invoices.retry_payment(invoice.lago_id)
    paid: InvoiceResponse = client.invoices.find(invoice.lago_id)
    return paid


def _fetch_pdf(client: Any, invoice: InvoiceResponse, folder: Path) -> Path:
    link = client.invoices.download(invoice.lago_id)
    path = folder / f"{invoice.number}.pdf"
    path.write_bytes(download(link.file_url))
    return path
