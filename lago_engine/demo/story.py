"""What happens in the demo: the same company, customers and usage each time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

BATCH_EVENTS: Final = 100
EVENTS_PER_CUSTOMER: Final = 60
"""Of each month."""

ORGANIZATION: Final[dict[str, Any]] = {
    "name": "Nimbus Cloud",
    "legal_name": "Nimbus Cloud SAS",
    "email": "billing@nimbus.example",
    "default_currency": "EUR",
    "address_line1": "12 rue des Nuages",
    "zipcode": "75011",
    "city": "Paris",
    "country": "FR",
    "net_payment_term": 14,
}
TAX: Final[dict[str, Any]] = {
    "name": "VAT",
    "code": "vat_20",
    "rate": 20.0,
    "applied_to_organization": True,
}
METRICS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "API calls", "code": "api_calls", "aggregation_type": "count_agg"},
    {
        "name": "Storage",
        "code": "storage",
        "aggregation_type": "sum_agg",
        "field_name": "gb",
    },
    {
        "name": "Messages",
        "code": "messages",
        "aggregation_type": "sum_agg",
        "field_name": "count",
    },
)
PRICES: Final = {"api_calls": "0.25", "storage": "0.119", "messages": "0.0075"}
"""Price of one unit by metric, in EUR."""

PLAN: Final[dict[str, Any]] = {
    "name": "Team",
    "code": "team",
    "interval": "monthly",
    "amount_cents": 4900,
    "amount_currency": "EUR",
    "pay_in_advance": False,
}
COMPANIES: Final = (
    "Alder Labs", "Birch & Sons", "Cedar Health", "Dogwood Films", "Elm Logistics", "Fir Robotics",
    "Ginkgo Press", "Hazel Foods", "Ivy Analytics", "Juniper Travel", "Kapok Energy", "Larch Legal",
    "Maple Games", "Nutmeg Retail", "Oak Insurance", "Pine Mobility", "Quince Studio", "Rowan Bank",
    "Spruce Design", "Teak Marine",
)  # fmt: skip

GOOD_CARDS: Final = "cards"
BAD_CARD: Final = "card_of_alder_labs"
"""Codes of the payment connections: every customer's, and the one whose card will be declined."""

MONTHS: Final = tuple(datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3, 4))
"""The story begins at the first instant; each of the others closes a month."""


def external_id(number: int) -> str:
    """The id of a customer, and of its subscription."""
    return f"customer_{number + 1:02}"


def customers() -> Iterator[dict[str, Any]]:
    """Bodies of `POST /customers`."""
    for number, name in enumerate(COMPANIES):
        yield {
            "external_id": external_id(number),
            "name": name,
            "email": f"finance@{name.split()[0].lower()}.example",
            "country": "FR",
            "city": "Lyon",
            "billing_configuration": {
                "payment_provider": "stripe",
                "payment_provider_code": BAD_CARD if number == 0 else GOOD_CARDS,
            },
        }


def usage_batches(start: datetime, end: datetime) -> list[list[dict[str, Any]]]:
    """A month's usage of all customers in batches of `BATCH_EVENTS`, in order of time."""
    spacing = (end - start) / EVENTS_PER_CUSTOMER
    events = [
        _event(customer, number, start + number * spacing)
        for number in range(EVENTS_PER_CUSTOMER)
        for customer in range(len(COMPANIES))
    ]
    return [events[i : i + BATCH_EVENTS] for i in range(0, len(events), BATCH_EVENTS)]


def _event(customer: int, number: int, at: datetime) -> dict[str, Any]:
    """A customer's `number`-th usage event of a month; customers differ in what they use."""
    at += timedelta(minutes=customer)
    code = METRICS[(number + customer) % len(METRICS)]["code"]
    mixed = (number * 37 + customer * 101 + at.month * 17) % 97
    properties = {
        "api_calls": {"endpoint": f"/v{mixed % 3 + 1}/search"},
        "storage": {"gb": f"{mixed // 4}.{mixed % 10}"},
        "messages": {"count": str(mixed + 3)},
    }[code]
    return {
        "transaction_id": f"{at:%Y-%m}-{external_id(customer)}-{number:03}",
        "external_subscription_id": external_id(customer),
        "code": code,
        "timestamp": int(at.timestamp()),
        "properties": properties,
    }
