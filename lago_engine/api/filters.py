"""Filters that several lists share (api_conventions §3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from lago_engine.api.params import Params
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.errors import NotFound
from lago_engine.projecting.wire import instant
from lago_engine.store.query import AnyOf, Filter, Op

Condition = Filter | AnyOf

BOUNDS: Final[tuple[tuple[str, Op], ...]] = (("from", "ge"), ("to", "le"))
"""Suffixes of parameters that bound a member, both ends included."""

WITH_CUSTOMER: Final = ("invoice", "credit_note")
"""Kinds of documents that hold their customer whole."""


def equals(path: str, value: str | bool | None) -> Iterator[Condition]:
    """The member is this value; no condition without one."""
    if value is not None:
        yield Filter(path, "eq", value)


def owned_by(kind: str, external_id: str, organization: OrganizationState) -> Iterator[Condition]:
    """Documents of the customer that has the external id now, not of deleted ones that had it before."""
    if external_id in organization.deleted_customers:
        path = "customer.lago_id" if kind in WITH_CUSTOMER else "lago_customer_id"
        yield Filter(path, "eq", str(organization.customer_id(external_id)))


def one_of(path: str, values: Iterable[str]) -> Iterator[Condition]:
    """The member is one of these values; no condition without any."""
    if found := list(values):
        yield Filter(path, "in", found)


def is_set(path: str, flag: bool | None) -> Iterator[Condition]:
    """The member is there (true) or null (false)."""
    if flag is not None:
        yield Filter(path, "not_null" if flag else "is_null")


def positive(path: str, flag: bool | None) -> Iterator[Condition]:
    """The number is above zero (true) or not (false)."""
    if flag is not None:
        yield Filter(path, "gt" if flag else "le", 0)


def between(params: Params, name: str, path: str) -> Iterator[Condition]:
    """`<name>_from` and `<name>_to`, both included, in whole seconds as documents show them."""
    for suffix, op in BOUNDS:
        moment = params.instant(f"{name}_{suffix}")
        if moment is not None:
            yield Filter(path, op, instant(moment))


def amounts_and_dates(params: Params) -> Iterator[Condition]:
    """`amount_from`, `amount_to` on totals and `issuing_date_from`, `issuing_date_to`, all included."""
    for name, op in BOUNDS:
        amount = params.integer(f"amount_{name}")
        if amount is not None:
            yield Filter("total_amount_cents", op, amount)
        day = params.day(f"issuing_date_{name}")
        if day is not None:
            yield Filter("issuing_date", op, day.isoformat())


def metadata(pairs: Mapping[str, str]) -> Iterator[Condition]:
    """`metadata[key]=value`, all of which have to match; an empty value means: no such key."""
    for key, value in pairs.items():
        if value:
            yield Filter("metadata", "has_item", {"key": key, "value": value})
        else:
            yield Filter("metadata", "lacks_item", {"key": key})


def search(term: str | None, *paths: str) -> Iterator[Condition]:
    """The term occurs in one of the members, whatever the case."""
    if term is not None:
        yield Filter(paths, "contains_ci", term)


def billing_entities(params: Params, organization: OrganizationState) -> Iterator[Condition]:
    """`billing_entity_codes[]`: there is one entity, so a known code selects everything.

    Raises NotFound for an unknown one.
    """
    if set(params.texts("billing_entity_codes")) - {organization.organization.billing_entity_code}:
        raise NotFound("billing_entity")
    yield from ()
