"""Decisions about connections to payment providers (payments §2, test_clocks §9)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from lago_engine.domain.catalog.entities import PaymentConnection
from lago_engine.domain.catalog.references import NewIds
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import ConnectPaymentProvider
from lago_engine.domain.events import DomainEvent, PaymentConnectionSet
from lago_engine.domain.validation import INVALID, MANDATORY, Checker

SIMULATED: Final = "simulated"
SIMULATED_TYPES: Final = ("stripe", "gocardless", "adyen", "cashfree", "flutterwave", "moneyhash")


def connect_provider(
    state: OrganizationState, command: ConnectPaymentProvider, *, now: datetime
) -> list[DomainEvent]:
    """Sets a connection: `provider` with its `config`, or in a test organization a simulated `type`
    with the `outcome` it answers. The same code again replaces the connection and keeps its id.
    """
    checker = Checker(command.input)
    code = checker.mandatory_text("code")
    is_simulated = state.organization.test and "provider" not in command.input
    terms = _simulated_terms(checker) if is_simulated else _real_terms(checker)
    name = checker.text("name") or code
    checker.raise_failures()
    known = state.connections.get(code)
    connection = PaymentConnection(
        id=NewIds.after(state).take("payment_provider") if known is None else known.id,
        code=code,
        name=name,
        created_at=now if known is None else known.created_at,
        **terms,
    )
    return [PaymentConnectionSet(connection=connection)]


def _simulated_terms(checker: Checker) -> dict[str, Any]:
    imitated = checker.choice("type", SIMULATED_TYPES, missing=MANDATORY)
    outcome = checker.text("outcome") or "succeeded"
    config = {"type": imitated, "outcome": outcome}
    return {"provider": SIMULATED, "config": config, "simulated_as": imitated}


def _real_terms(checker: Checker) -> dict[str, Any]:
    """The settings were decoded by the provider's own schema before; here they are opaque."""
    provider = checker.mandatory_text("provider")
    if provider == SIMULATED:
        checker.fail("provider", INVALID)
    return {"provider": provider, "config": dict(checker.mapping("config") or {})}
