"""Who sells and who buys: the two address blocks of an invoice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lago_engine.documents.formats import Formats
from lago_engine.documents.labels import Labels
from lago_engine.documents.model import Party

# Countries whose post writes the code after the city; the others put it before.
_CODE_LAST = frozenset({"AU", "BR", "CA", "GB", "ID", "IE", "IN", "NZ", "SG", "US", "ZA"})


def organization_party(organization: Mapping[str, Any], labels: Labels, formats: Formats) -> Party:
    """The organization under its legal name."""
    name = organization.get("legal_name") or organization["name"]
    return _party(name, organization, labels, formats)


def customer_party(customer: Mapping[str, Any], labels: Labels, formats: Formats) -> Party:
    """The customer under its legal name, else its name, else the person's name, else its id."""
    person = " ".join(
        part for part in (customer.get("firstname"), customer.get("lastname")) if part
    )
    name = customer.get("legal_name") or customer.get("name") or person or customer["external_id"]
    return _party(name, customer, labels, formats)


def _party(name: str, who: Mapping[str, Any], labels: Labels, formats: Formats) -> Party:
    country = who.get("country")
    tax_id = who.get("tax_identification_number")
    register = who.get("legal_number")
    lines = (
        who.get("address_line1"),
        who.get("address_line2"),
        *_locality(who),
        formats.country(country) if country else None,
        who.get("email"),
        f"{labels.tax_id}: {tax_id}" if tax_id else None,
        f"{labels.register_number}: {register}" if register else None,
    )
    return Party(name=name, lines=tuple(line for line in lines if line))


def _locality(who: Mapping[str, Any]) -> tuple[str, ...]:
    city, state, code = who.get("city") or "", who.get("state") or "", who.get("zipcode") or ""
    if who.get("country") in _CODE_LAST:
        town = ", ".join(part for part in (city, state) if part)
        return (f"{town} {code}".strip(),)
    return (f"{code} {city}".strip(), state)
