"""Deleting a customer: everything ends, what is owed is billed, and the external id is free (customers.md §6)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from lago_engine.domain import commands as c
from lago_engine.domain import events as e
from lago_engine.domain.customer.decision import Decision
from lago_engine.domain.customer.termination import cancel_pending, terminate
from lago_engine.domain.customer.wallets import terminate_wallet
from lago_engine.domain.invoicing.applied_coupon import terminated

DRAFTS_FINAL_AFTER: Final = timedelta(minutes=5)
"""How long after the deletion its drafts are finalized."""

OF_LIVE_CUSTOMERS: Final = (
    c.UpsertCustomer,
    c.DeleteCustomer,
    c.CreateSubscription,
    c.ApplyCoupon,
    c.CreateOneOffInvoice,
    c.CreateWallet,
)
"""Commands that would begin something; who is deleted is not found by them."""


def delete_customer(decision: Decision) -> None:
    """End the subscriptions with their stored options, give up those that wait, take coupons and wallets, then delete."""
    for subscription in decision.state.subscriptions.values():
        if subscription.status == "active":
            terminate(decision, subscription, at=decision.now)
    for subscription in decision.state.subscriptions.values():
        if subscription.status == "pending":
            cancel_pending(decision, subscription)
    for applied in decision.state.applied_coupons.values():
        if applied.status == "active":
            ended = terminated(applied, at=decision.now)
            decision.record(e.AppliedCouponTerminated(applied_coupon=ended))
    for wallet in decision.state.wallets.values():
        if wallet.status == "active":
            terminate_wallet(decision, wallet, at=decision.now)
    deleted = replace(decision.state.profile, deleted_at=decision.now, updated_at=decision.now)
    decision.record(e.CustomerDeleted(customer=deleted))
