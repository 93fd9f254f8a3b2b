from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from catalog_kit import NOW, Catalog

from lago_engine.domain.commands import ConnectPaymentProvider


def test_a_test_organization_connects_a_simulated_provider() -> None:
    catalog = Catalog(test=True)
    fields = {"code": "stripe_eu", "type": "stripe", "outcome": "failed"}
    connection = catalog.one(ConnectPaymentProvider, input=fields).connection
    assert connection == catalog.folded.connections["stripe_eu"]
    assert (connection.provider, connection.simulated_as) == ("simulated", "stripe")
    assert connection.config == {"type": "stripe", "outcome": "failed"}
    assert connection.name == "stripe_eu"


def test_the_same_code_replaces_the_connection_and_keeps_its_id() -> None:
    catalog = Catalog(test=True)
    fields = {"code": "psp", "type": "adyen"}
    before = catalog.one(ConnectPaymentProvider, input=fields).connection
    catalog.now += timedelta(days=1)
    count = catalog.folded.items_count
    again = {**fields, "outcome": "processing", "name": "PSP"}
    after = catalog.one(ConnectPaymentProvider, input=again).connection
    assert (after.id, after.created_at) == (before.id, NOW)
    assert (before.config["outcome"], after.config["outcome"]) == ("succeeded", "processing")
    assert after.name == "PSP"
    assert catalog.folded.items_count == count
    other = catalog.one(ConnectPaymentProvider, input={**fields, "code": "other"}).connection
    assert other.id != after.id


@pytest.mark.parametrize("test", [True, False])
def test_any_organization_connects_a_provider_with_its_settings(test: bool) -> None:
    catalog = Catalog(test=test)
    fields = {"code": "main", "provider": "fakepay", "config": {"base_url": "http://localhost"}}
    connection = catalog.one(ConnectPaymentProvider, input=fields).connection
    assert (connection.provider, connection.simulated_as) == ("fakepay", None)
    assert connection.config == {"base_url": "http://localhost"}


@pytest.mark.parametrize(
    ("test", "fields", "details"),
    [
        (True, {"type": "stripe"}, {"code": ["value_is_mandatory"]}),
        (True, {"code": "a"}, {"type": ["value_is_mandatory"]}),
        (True, {"code": "a", "type": "paypal"}, {"type": ["value_is_invalid"]}),
        (True, {"code": "a", "provider": "simulated"}, {"provider": ["value_is_invalid"]}),
        (False, {"code": "a", "type": "stripe"}, {"provider": ["value_is_mandatory"]}),
    ],
)
def test_a_wrong_connection_is_refused(
    test: bool, fields: dict[str, Any], details: dict[str, list[str]]
) -> None:
    assert Catalog(test=test).refuses(ConnectPaymentProvider, input=fields) == details
