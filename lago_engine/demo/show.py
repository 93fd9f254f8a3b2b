"""How the demo prints what it has seen."""

from __future__ import annotations

from pathlib import Path

from lago_python_client.models.invoice import InvoiceResponse
from rich.table import Table

from lago_engine.demo import story


def invoice_table(invoice: InvoiceResponse) -> Table:
    """The invoice as its customer reads it."""
    assert invoice.customer is not None
    assert invoice.fees is not None
    assert invoice.applied_taxes is not None
    table = Table(show_footer=True)
    table.add_column(f"{invoice.number}, {invoice.issuing_date}: {invoice.customer.name}", "Total")
    table.add_column("units", justify="right")
    table.add_column("unit price", justify="right")
    table.add_column("amount", money(invoice.total_amount_cents, invoice.currency), justify="right")
    for fee in invoice.fees.__root__:
        amount = money(fee.amount_cents or 0, invoice.currency)
        assert fee.item is not None
        table.add_row(fee.item.name, fee.units, fee.precise_unit_amount, amount)
    table.add_section()
    for tax in invoice.applied_taxes.__root__:
        amount = money(tax.amount_cents or 0, invoice.currency)
        table.add_row(f"{tax.tax_name} {tax.tax_rate} %", "", "", amount)
    return table


def money(cents: int, currency: str) -> str:
    """An amount in minor units of a currency with two digits."""
    return f"{cents // 100:,}.{cents % 100:02} {currency}"


def try_it(url: str, api_key: str, folder: Path) -> str:
    """What to do with the server that is still up."""
    customer = story.external_id(1)
    bearer = f"-H 'Authorization: Bearer {api_key}'"
    event = (
        f'{{"event":{{"transaction_id":"mine-1","external_subscription_id":"{customer}",'
        '"code":"api_calls"}}'
    )
    usage = f"{url}/api/v1/customers/{customer}/current_usage?external_subscription_id={customer}"
    return "\n".join(
        [
            f"The server is up at {url} with API key {api_key}. Try:",
            "",
            f"curl {bearer} '{url}/api/v1/invoices?per_page=1'",
            f"curl {bearer} -H 'Content-Type: application/json' {url}/api/v1/events -d '{event}'",
            f"curl {bearer} '{usage}'",
            "",
            f"lago-engine clock --url {url} --api-key {api_key} advance 1m",
            f"lago-engine verify --data {folder}",
            "",
            "Ctrl-C ends it; the store stays.",
        ]
    )
