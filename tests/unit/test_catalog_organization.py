from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from catalog_kit import NOW, ORGANIZATION_ID, Catalog

from lago_engine.domain.catalog.decide import decide_organization
from lago_engine.domain.commands import (
    CreateOrganization,
    CreateTax,
    SetClock,
    UpdateOrganization,
)
from lago_engine.domain.events import (
    ApiKeyCreated,
    ClockSet,
    OrganizationCreated,
    OrganizationUpdated,
    WebhookEndpointCreated,
    WebhookEndpointDeleted,
    WebhookEndpointUpdated,
)
from lago_engine.errors import NotFound, ValidationFailed


def test_a_new_organization_has_the_defaults_of_the_wire() -> None:
    catalog = Catalog()
    created, key = catalog.created
    assert isinstance(created, OrganizationCreated)
    assert isinstance(key, ApiKeyCreated)
    organization = catalog.folded.organization
    assert organization.id == ORGANIZATION_ID
    assert organization.document_number_prefix == "ACM-7F21"
    assert organization.billing_entity_code == "acme_cloud"
    assert (organization.default_currency, organization.timezone) == ("USD", "UTC")
    assert (organization.net_payment_term, organization.invoice_grace_period) == (0, 0)
    assert organization.document_locale == "en"
    assert organization.finalize_zero_amount_invoice
    assert organization.document_numbering == "per_customer"
    assert not organization.test
    assert catalog.folded.api_keys[key.api_key.id].last_four == "7f21"
    assert catalog.folded.webhook_endpoints == {}


@pytest.mark.parametrize(
    ("name", "code", "prefix"),
    [
        ("AcmeCloud GmbH & Co.", "acme_cloud_gmb_h_co", "ACM-7F21"),
        ("Électricité", "électricité", "ÉLE-7F21"),
        ("!!", "default", "!!-7F21"),
    ],
)
def test_code_and_prefix_come_from_the_name(name: str, code: str, prefix: str) -> None:
    organization = Catalog(name=name).folded.organization
    assert organization.billing_entity_code == code
    assert organization.document_number_prefix == prefix


def test_a_test_organization_takes_its_set_up_fields() -> None:
    catalog = Catalog(
        test=True,
        default_currency="EUR",
        email="billing@acme.com",
        webhook_url="https://hooks.acme.com/lago",
        timezone="Europe/Paris",
        country="fr",
        city=None,
        net_payment_term=30,
        document_numbering="per_organization",
        document_number_prefix="inv",
        finalize_zero_amount_invoice=False,
        email_settings=["invoice.finalized"],
        invoice_grace_period=3,
        document_locale="fr",
        tax_identification_number="FR123",
        eu_tax_management=False,
        premium=False,
        premium_integrations="all",
    )
    organization = catalog.folded.organization
    assert organization.test
    assert not organization.premium
    assert organization.premium_integrations == ("all",)
    assert (organization.timezone, organization.country) == ("Europe/Paris", "FR")
    assert organization.document_number_prefix == "INV"
    assert organization.document_numbering == "per_organization"
    assert organization.email_settings == ("invoice.finalized",)
    assert (organization.net_payment_term, organization.invoice_grace_period) == (30, 3)
    assert not organization.finalize_zero_amount_invoice
    [endpoint] = catalog.folded.webhook_endpoints.values()
    assert endpoint.webhook_url == "https://hooks.acme.com/lago"
    assert catalog.folded.items_count == 2


def test_the_first_billing_entity_is_the_default_one() -> None:
    entity = {
        "code": "acme_fr",
        "name": "Acme Cloud",
        "timezone": "Europe/Paris",
        "document_numbering": "per_billing_entity",
        "legal_name": "Acme SAS",
        "logo": None,
        "billing_configuration": {
            "invoice_grace_period": 2,
            "document_locale": None,
            "subscription_invoice_issuing_date_anchor": "current_period_end",
            "subscription_invoice_issuing_date_adjustment": "keep_anchor",
        },
    }
    catalog = Catalog(test=True, timezone="UTC", invoice_grace_period=1, billing_entities=[entity])
    organization = catalog.folded.organization
    assert organization.billing_entity_code == "acme_fr"
    assert organization.timezone == "Europe/Paris"
    assert organization.document_numbering == "per_organization"
    assert organization.legal_name == "Acme SAS"
    assert organization.invoice_grace_period == 2
    assert organization.document_locale == "en"
    assert organization.subscription_invoice_issuing_date_anchor == "current_period_end"
    assert organization.subscription_invoice_issuing_date_adjustment == "keep_anchor"


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"name": " "}, {"name": ["value_is_mandatory"]}),
        ({"webhook_url": "acme"}, {"webhook_url": ["url_is_invalid"]}),
        ({"eu_tax_management": True}, {"eu_tax_management": ["not_supported_yet"]}),
        ({"premium_integrations": 5}, {"premium_integrations": ["value_is_invalid"]}),
        ({"billing_entities": [{}, {}]}, {"billing_entities": ["not_supported_yet"]}),
        ({"billing_entities": ["eu"]}, {"billing_entities": ["value_is_invalid"]}),
        (
            {"billing_entities": [{}]},
            {"code": ["value_is_mandatory"], "name": ["value_is_mandatory"]},
        ),
        (
            {"billing_entities": [{"code": "eu", "name": "Another", "einvoicing": True}]},
            {"billing_entities:name": ["not_supported_yet"], "einvoicing": ["not_supported_yet"]},
        ),
    ],
)
def test_a_wrong_set_up_is_refused(fields: dict[str, Any], details: dict[str, list[str]]) -> None:
    with pytest.raises(ValidationFailed) as refused:
        Catalog(test=True, **fields)
    assert refused.value.details == details


def test_an_update_touches_only_what_is_present() -> None:
    catalog = Catalog(country="DE", city="Berlin", net_payment_term=7)
    catalog.one(
        UpdateOrganization,
        input={
            "city": None,
            "document_number_prefix": "abc",
            "billing_configuration": {"invoice_footer": "Thanks", "invoice_grace_period": 4},
            "name": "ignored",
            "unknown": 1,
        },
    )
    organization = catalog.folded.organization
    assert (organization.country, organization.city) == ("DE", None)
    assert organization.document_number_prefix == "ABC"
    assert (organization.invoice_footer, organization.invoice_grace_period) == ("Thanks", 4)
    assert (organization.name, organization.net_payment_term) == ("Acme Cloud", 7)


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"document_number_prefix": ""}, {"document_number_prefix": ["value_is_mandatory"]}),
        ({"document_number_prefix": "A" * 11}, {"document_number_prefix": ["value_is_too_long"]}),
        ({"document_numbering": "per_year"}, {"document_numbering": ["value_is_invalid"]}),
        ({"email_settings": ["invoice.paid"]}, {"email_settings": ["unsupported_value"]}),
        ({"net_payment_term": -1}, {"net_payment_term": ["value_is_out_of_range"]}),
        ({"net_payment_term": 36501}, {"net_payment_term": ["value_is_out_of_range"]}),
        ({"net_payment_term": None}, {"net_payment_term": ["value_is_mandatory"]}),
        ({"default_currency": None}, {"default_currency": ["value_is_invalid"]}),
        ({"slug": "acme"}, {"slug": ["not_supported_yet"]}),
        (
            {
                "country": "Germany",
                "timezone": "CEST",
                "email": "x",
                "billing_configuration": {
                    "invoice_footer": "x" * 601,
                    "invoice_grace_period": -1,
                    "document_locale": "xx",
                },
            },
            {
                "timezone": ["invalid_timezone"],
                "country": ["not_a_valid_country_code"],
                "email": ["invalid_email_format"],
                "invoice_footer": ["value_is_too_long"],
                "invoice_grace_period": ["value_is_out_of_range"],
                "document_locale": ["not_a_valid_language_code"],
            },
        ),
    ],
)
def test_wrong_settings_are_refused_together(
    fields: dict[str, Any], details: dict[str, list[str]]
) -> None:
    assert Catalog().refuses(UpdateOrganization, input=fields) == details


def test_webhook_url_creates_changes_and_removes_the_first_endpoint() -> None:
    catalog = Catalog()
    first, second = "https://a.example/hook", "https://b.example/hook"
    created = catalog.do(UpdateOrganization, input={"webhook_url": first})
    assert [type(event) for event in created] == [OrganizationUpdated, WebhookEndpointCreated]
    same = catalog.do(UpdateOrganization, input={"webhook_url": first})
    assert [type(event) for event in same] == [OrganizationUpdated]
    changed = catalog.do(UpdateOrganization, input={"webhook_url": second})
    assert [type(event) for event in changed] == [OrganizationUpdated, WebhookEndpointUpdated]
    [endpoint] = catalog.folded.webhook_endpoints.values()
    assert endpoint.webhook_url == second
    removed = catalog.do(UpdateOrganization, input={"webhook_url": None})
    assert [type(event) for event in removed] == [OrganizationUpdated, WebhookEndpointDeleted]
    assert catalog.folded.webhook_endpoints == {}
    assert len(catalog.do(UpdateOrganization, input={"webhook_url": ""})) == 1
    catalog.do(UpdateOrganization, input={"webhook_url": first})
    assert len(catalog.do(UpdateOrganization, input={"webhook_url": []})) == 1
    assert len(catalog.folded.webhook_endpoints) == 1
    assert catalog.refuses(UpdateOrganization, input={"webhook_url": False}) == {
        "webhook_url": ["value_is_invalid"]
    }
    assert catalog.refuses(UpdateOrganization, input={"webhook_url": "ftp://a"}) == {
        "webhook_url": ["url_is_invalid"]
    }


def test_only_a_test_organization_learns_test_settings() -> None:
    fields = {"premium": False, "premium_integrations": ["netsuite"]}
    real, trial = Catalog(), Catalog(test=True)
    real.one(UpdateOrganization, input=fields)
    trial.one(UpdateOrganization, input=fields)
    assert real.folded.organization.premium
    assert real.folded.organization.premium_integrations == ()
    assert not trial.folded.organization.premium
    assert trial.folded.organization.premium_integrations == ("netsuite",)


def test_the_clock_moves_forward_and_back_only_when_told() -> None:
    catalog = Catalog(test=True)
    later = NOW + timedelta(days=31)
    assert catalog.do(SetClock, now=later) == [ClockSet(now=later)]
    assert catalog.folded.clock == later
    catalog.now = later
    assert catalog.refuses(SetClock, now=NOW) == {"now": ["cannot_go_back"]}
    catalog.do(SetClock, now=later)
    catalog.do(SetClock, now=NOW, rewind=True)
    assert catalog.folded.clock == NOW
    catalog.do(SetClock, now=None)
    assert catalog.folded.clock is None


def test_coming_from_real_time_the_clock_goes_to_any_instant() -> None:
    catalog = Catalog(test=True)
    past = NOW - timedelta(days=800)
    catalog.do(SetClock, now=past)
    assert catalog.folded.clock == past
    earlier = past - timedelta(seconds=1)
    assert catalog.refuses(SetClock, now=earlier) == {"now": ["cannot_go_back"]}
    catalog.do(SetClock, now=None)
    catalog.do(SetClock, now=earlier)
    assert catalog.folded.clock == earlier


def test_a_real_organization_has_no_virtual_clock() -> None:
    with pytest.raises(NotFound):
        Catalog().do(SetClock, now=datetime(2030, 1, 1, tzinfo=UTC))


def test_commands_need_an_organization_and_create_it_once() -> None:
    with pytest.raises(NotFound) as missing:
        decide_organization(None, CreateTax(organization_id=ORGANIZATION_ID, input={}), now=NOW)
    assert missing.value.code == "organization_not_found"
    again = {"input": {"name": "B"}, "key_hash": "", "key_last_four": "", "hmac_key": ""}
    assert Catalog().refuses(CreateOrganization, **again) == {"id": ["value_already_exist"]}


def test_ids_depend_on_the_organization_and_the_order_only() -> None:
    one, two = Catalog(), Catalog()
    other = UUID(int=7)
    assert one.created == two.created
    command = CreateOrganization(
        organization_id=other, input={"name": "A"}, key_hash="", key_last_four="", hmac_key=""
    )
    key = decide_organization(None, command, now=NOW)[1]
    assert isinstance(key, ApiKeyCreated)
    assert key.api_key.id not in one.folded.api_keys
