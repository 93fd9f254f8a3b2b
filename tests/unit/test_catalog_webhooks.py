from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from catalog_kit import NOW, Catalog

from lago_engine.domain.catalog.webhook_types import WEBHOOK_TYPES
from lago_engine.domain.commands import (
    CreateWebhookEndpoint,
    DeleteWebhookEndpoint,
    UpdateOrganization,
    UpdateWebhookEndpoint,
)
from lago_engine.errors import NotFound

URL = "https://hooks.acme.com/lago"


def test_an_endpoint_gets_everything_by_default() -> None:
    catalog = Catalog()
    endpoint = catalog.one(CreateWebhookEndpoint, input={"webhook_url": URL}).endpoint
    assert endpoint == catalog.folded.webhook_endpoints[endpoint.id]
    assert (endpoint.signature_algo, endpoint.name, endpoint.event_types) == ("jwt", None, None)
    assert endpoint.created_at == NOW


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (None, None),
        (["*"], None),
        ([], ()),
        ([" Invoice.Created ", "", None, "invoice.created", "plan.updated"],
         ("invoice.created", "plan.updated")),
    ],
)  # fmt: skip
def test_event_types_are_normalized(given: Any, stored: tuple[str, ...] | None) -> None:
    fields = {"webhook_url": URL, "event_types": given, "signature_algo": "hmac", "name": "Main"}
    endpoint = Catalog().one(CreateWebhookEndpoint, input=fields).endpoint
    assert (endpoint.event_types, endpoint.signature_algo, endpoint.name) == (
        stored,
        "hmac",
        "Main",
    )


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"webhook_url": None}, {"webhook_url": ["value_is_mandatory"]}),
        ({"webhook_url": "hooks.acme.com"}, {"webhook_url": ["url_is_invalid"]}),
        ({"webhook_url": "https://taken.com"}, {"webhook_url": ["value_already_exist"]}),
        ({"signature_algo": "md5"}, {"signature_algo": ["value_is_invalid"]}),
        ({"event_types": "invoice.created"}, {"event_types": ["must_be_array"]}),
        (
            {"event_types": ["invoice.created", "invoice.eaten", "x"]},
            {"event_types": ['contains invalid types: ["invoice.eaten", "x"]']},
        ),
    ],
)
def test_a_wrong_endpoint_is_refused(fields: dict[str, Any], details: dict[str, list[str]]) -> None:
    catalog = Catalog()
    catalog.do(CreateWebhookEndpoint, input={"webhook_url": "https://taken.com"})
    own = catalog.one(CreateWebhookEndpoint, input={"webhook_url": "https://own.com"}).endpoint
    assert catalog.refuses(CreateWebhookEndpoint, input={"webhook_url": URL, **fields}) == details
    assert catalog.refuses(UpdateWebhookEndpoint, endpoint_id=own.id, input=fields) == details


def test_ten_endpoints_are_the_most() -> None:
    catalog = Catalog(webhook_url=f"{URL}/0")
    for n in range(1, 10):
        catalog.do(CreateWebhookEndpoint, input={"webhook_url": f"{URL}/{n}"})
    assert catalog.refuses(CreateWebhookEndpoint, input={"webhook_url": URL}) == {
        "base": ["Maximum number of webhook endpoints was reached"]
    }


def test_an_endpoint_changes_in_what_is_present() -> None:
    catalog = Catalog()
    fields = {"webhook_url": URL, "name": "Main", "event_types": ["plan.created"]}
    endpoint = catalog.one(CreateWebhookEndpoint, input=fields).endpoint
    changes = {"webhook_url": URL, "signature_algo": "hmac"}
    updated = catalog.one(UpdateWebhookEndpoint, endpoint_id=endpoint.id, input=changes).endpoint
    assert (updated.name, updated.event_types, updated.signature_algo) == (
        "Main",
        ("plan.created",),
        "hmac",
    )
    cleared = {"event_types": None, "name": None, "signature_algo": None}
    updated = catalog.one(UpdateWebhookEndpoint, endpoint_id=endpoint.id, input=cleared).endpoint
    assert (updated.name, updated.event_types, updated.signature_algo) == (None, None, "jwt")
    assert (updated.id, updated.webhook_url, updated.created_at) == (endpoint.id, URL, NOW)


def test_the_oldest_endpoint_is_the_organization_s_own() -> None:
    catalog = Catalog()
    catalog.now += timedelta(days=1)
    second = catalog.one(CreateWebhookEndpoint, input={"webhook_url": f"{URL}/2"}).endpoint
    catalog.now = NOW  # The clock of a test organization may be set back.
    first = catalog.one(CreateWebhookEndpoint, input={"webhook_url": URL}).endpoint
    catalog.do(CreateWebhookEndpoint, input={"webhook_url": f"{URL}/3"})
    catalog.do(UpdateWebhookEndpoint, endpoint_id=first.id, input={"name": "touched"})
    catalog.do(UpdateOrganization, input={"webhook_url": f"{URL}/1"})
    assert catalog.folded.webhook_endpoints[first.id].webhook_url == f"{URL}/1"
    assert catalog.refuses(UpdateOrganization, input={"webhook_url": second.webhook_url}) == {
        "webhook_url": ["value_already_exist"]
    }


def test_a_deleted_endpoint_is_gone() -> None:
    catalog = Catalog()
    endpoint = catalog.one(CreateWebhookEndpoint, input={"webhook_url": URL}).endpoint
    assert catalog.one(DeleteWebhookEndpoint, endpoint_id=endpoint.id).endpoint == endpoint
    with pytest.raises(NotFound) as missing:
        catalog.do(DeleteWebhookEndpoint, endpoint_id=endpoint.id)
    assert missing.value.code == "webhook_endpoint_not_found"
    with pytest.raises(NotFound):
        catalog.do(UpdateWebhookEndpoint, endpoint_id=UUID(int=1), input={})
    again = catalog.one(CreateWebhookEndpoint, input={"webhook_url": URL}).endpoint
    assert again.id != endpoint.id


def test_the_catalogue_has_75_types() -> None:
    assert len(WEBHOOK_TYPES) == 75
    assert {"invoice.payment_status_updated", "events.errors", "alert.triggered"} <= WEBHOOK_TYPES
