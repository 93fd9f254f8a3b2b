"""Fields of a subscription that creating and updating read alike (subscriptions.md §2.1, §6)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.settings import timezone_of
from lago_engine.domain.instants import parse_instant
from lago_engine.domain.timezones import local_date, zone
from lago_engine.domain.validation import Checker

PURCHASE_ORDER_LENGTH_MAX = 255


def stripped(given: Mapping[str, Any], field: str) -> str:
    """A trimmed string, "" when absent or blank."""
    return (Checker(given).text(field) or "").strip()


def read_instant(check: Checker, field: str) -> datetime | None:
    """An ISO 8601 instant; None when absent or blank."""
    value = check.values.get(field)
    if value is None or value == "":
        return None
    instant = parse_instant(value)
    if instant is None:
        check.fail(field, "invalid_date")
    return instant


def read_ending_at(
    decision: Decision, check: Checker, subscription_at: datetime
) -> datetime | None:
    """A local day after today and after the start."""
    ending_at = read_instant(check, "ending_at")
    if ending_at is None:
        return None
    tz = zone(timezone_now(decision))
    if local_date(ending_at, tz) <= max(
        local_date(decision.now, tz), local_date(subscription_at, tz)
    ):
        check.fail("ending_at", "invalid_date")
    return ending_at


def read_purchase_order_number(check: Checker) -> str | None:
    """Trimmed; None when blank."""
    number = check.text("purchase_order_number", max_length=PURCHASE_ORDER_LENGTH_MAX)
    return (number or "").strip() or None


def check_payment_method(check: Checker) -> None:
    """Only the customer's default provider method: stored methods do not exist yet."""
    given = check.values.get("payment_method")
    if given is None:
        return
    is_default = (
        isinstance(given, Mapping)
        and given.get("payment_method_type") in (None, "", "provider")
        and not given.get("payment_method_id")
    )
    if not is_default:
        check.fail("payment_method", "invalid_payment_method")


def timezone_now(decision: Decision) -> str:
    """The customer's applicable time zone; the organization's while there is no customer."""
    organization = decision.organization.organization
    if not decision.exists:
        return organization.timezone
    return timezone_of(decision.state.profile, organization)
