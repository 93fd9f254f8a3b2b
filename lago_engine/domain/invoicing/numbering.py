"""Numbers of invoices (invoices.md §3): without gaps, without duplicates, never reused."""

from __future__ import annotations

from datetime import datetime

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.timezones import local_date, zone


def draft_number(state: OrganizationState) -> str:
    """The placeholder of an invoice that is not finalized."""
    return f"{state.organization.document_number_prefix}-DRAFT"


def customer_number(state: OrganizationState, profile: CustomerProfile, sequential_id: int) -> str:
    """`<prefix>-<customer, 3+ digits>-<invoice of the customer, 3+ digits>`."""
    prefix = state.organization.document_number_prefix
    return f"{prefix}-{profile.sequential_id:03d}-{sequential_id:03d}"


def entity_number(state: OrganizationState, entity_sequential_id: int, now: datetime) -> str:
    """`<prefix>-<YYYYMM in the entity's zone>-<invoice of the entity, 3+ digits>`; never resets."""
    organization = state.organization
    month = local_date(now, zone(organization.timezone))
    return f"{organization.document_number_prefix}-{month:%Y%m}-{entity_sequential_id:03d}"
