"""The outgoing webhook types an endpoint can choose (api_conventions §10.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_BY_OBJECT: Final[Mapping[str, str]] = {
    "alert": "triggered",
    "billable_metric": "created updated deleted",
    "credit_note": "created generated provider_refund_failure",
    "customer": (
        "created updated accounting_provider_created accounting_provider_error"
        " checkout_url_generated crm_provider_created crm_provider_error payment_provider_created"
        " payment_provider_error tax_provider_error vies_check"
    ),
    "dunning_campaign": "finished",
    "event": "error",
    "events": "errors",
    "feature": "created updated deleted",
    "fee": "created tax_provider_error",
    "integration": "provider_error",
    "invoice": (
        "created deleted drafted generated one_off_created paid_credit_added payment_dispute_lost"
        " payment_failure payment_overdue payment_status_updated ready_to_finalize resynced voided"
    ),
    "order": "created executed",
    "order_form": "created expired signed voided",
    "payment": "requires_action succeeded",
    "payment_provider": "error",
    "payment_receipt": "created generated",
    "payment_request": "created payment_failure payment_status_updated",
    "plan": "created updated deleted",
    "quote": "approved created voided",
    "subscription": (
        "canceled incomplete started terminated termination_alert trial_ended updated"
        " usage_threshold_reached"
    ),
    "wallet": "created depleted_ongoing_balance terminated updated",
    "wallet_transaction": "created payment_failure updated",
}

WEBHOOK_TYPES: Final = frozenset(
    f"{name}.{event}" for name, events in _BY_OBJECT.items() for event in events.split()
)
