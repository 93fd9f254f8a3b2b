"""Members of `wallet` documents that follow usage or the catalog (coupons_wallets_credit_notes.md §4, §6.3)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.decimals import to_wire
from lago_engine.domain.wallets.credits import to_credits
from lago_engine.domain.wallets.model import Wallet
from lago_engine.projecting.wire import Members, members


class WalletHidden(msgspec.Struct, frozen=True, kw_only=True):
    """`_` of a wallet: the metrics it is limited to, whose codes may change."""

    billable_metric_ids: tuple[UUID, ...]


class TransactionHidden(msgspec.Struct, frozen=True, kw_only=True):
    """`_` of a wallet transaction. created_at: to the microsecond, as its place in lists has it."""

    created_at: datetime


def ongoing_members(wallet: Wallet, usage_cents: int) -> Members:
    """What is left when usage that is not billed yet is counted; it may be less than nothing."""
    left = wallet.balance_cents - usage_cents
    return {
        "ongoing_balance_cents": left,
        "ongoing_usage_balance_cents": usage_cents,
        "credits_ongoing_balance": to_wire(to_credits(left, wallet.rate, wallet.currency)),
        "credits_ongoing_usage_balance": to_wire(
            to_credits(usage_cents, wallet.rate, wallet.currency)
        ),
    }


def present_wallet(document: Members, organization: OrganizationState) -> Members:
    """A stored wallet with the codes that the metrics it is limited to have now."""
    hidden = _wallet_hidden.decode(document.pop("_"))
    known = organization.metrics_by_id
    codes = [known[metric_id].code for metric_id in hidden.billable_metric_ids]
    limits = {**members(document["applies_to"]), "billable_metric_codes": codes}
    return {**document, "applies_to": limits}


_wallet_hidden = msgspec.json.Decoder(WalletHidden)
