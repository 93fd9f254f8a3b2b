"""An invoice while it is put together: what the steps of the pipeline hand to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.entities import Coupon, Plan, Tax
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.profile import CustomerProfile
from lago_engine.domain.customer.state import BilledUnits, Subscription
from lago_engine.domain.invoicing.applied_coupon import AppliedCoupon
from lago_engine.domain.invoicing.credit_note import CreditNote
from lago_engine.domain.invoicing.dates import InvoiceDates
from lago_engine.domain.invoicing.kinds import InvoiceKind
from lago_engine.domain.invoicing.ledger import FeeRecord
from lago_engine.domain.invoicing.model import AppliedTax, Credit, Fee, InvoiceLink, PrepaidCredit
from lago_engine.domain.rating.unit_steps import UnitStep
from lago_engine.domain.wallets.model import Wallet, WalletTransaction


class FundedWallet(msgspec.Struct, frozen=True):
    """A wallet with a balance, and the inbound transactions that make it up."""

    wallet: Wallet
    inbound: tuple[WalletTransaction, ...]


class FixedHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What the fixed charges of a subscription are billed by.

    steps: by the charge's id on the plan that the subscription was put on. billed: units that other invoices billed in
    advance. before: those of the subscription that it was upgraded from, on its first invoice.
    """

    steps: Mapping[UUID, Sequence[UnitStep]]
    billed: Sequence[BilledUnits] = ()
    before: Sequence[BilledUnits] = ()


class InvoiceInput(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an invoice is a function of, its fees apart.

    kind: which steps apply. items: the subscriptions on it, each with its link (windows, reason) and the plan as
    priced, in line order; none on a one-off invoice. coupons: the active applied ones, oldest first.
    credit_notes: those with a balance, oldest first. wallets: active ones in its currency, in the order in which they
    pay. billed: per subscription the fees of earlier invoices that
    count towards a minimum commitment. fixed: by subscription, of plans that have fixed charges.
    """

    invoice_id: UUID
    kind: InvoiceKind
    organization: OrganizationState
    profile: CustomerProfile
    currency: str
    items: Sequence[tuple[Subscription, Plan, InvoiceLink]]
    dates: InvoiceDates
    created_at: datetime
    coupons: Sequence[tuple[AppliedCoupon, Coupon]] = ()
    credit_notes: Sequence[CreditNote] = ()
    wallets: Sequence[FundedWallet] = ()
    billed: Mapping[UUID, Sequence[FeeRecord]] = {}
    fixed: Mapping[UUID, FixedHistory] = {}


class Line(msgspec.Struct, frozen=True):
    """A fee with what decides its discounts and taxes.

    plan_ids: the plan of its subscription and those it was overridden from; coupons may be limited to them.
    """

    fee: Fee
    taxes: tuple[Tax, ...]
    plan_ids: tuple[UUID, ...] = ()


def plan_ids(plan: Plan) -> tuple[UUID, ...]:
    """The plan, and the one that a child plan is a copy of."""
    return (plan.id,) if plan.parent_id is None else (plan.id, plan.parent_id)


class InvoiceTaxes(msgspec.Struct, frozen=True, kw_only=True):
    """Tax lines by tax, their total (rounded once) and the effective rate in percent."""

    lines: tuple[AppliedTax, ...]
    amount_cents: int
    rate: Decimal


UNTAXED: Final = InvoiceTaxes(lines=(), amount_cents=0, rate=Decimal(0))


class Work(msgspec.Struct, frozen=True):
    """What the steps so far have made of the invoice. `credits` are in the order in which they were taken."""

    lines: tuple[Line, ...]
    credits: tuple[Credit, ...] = ()
    taxes: InvoiceTaxes = UNTAXED
    prepaid: tuple[PrepaidCredit, ...] = ()

    @property
    def fees_amount_cents(self) -> int:
        return sum(line.fee.amount_cents for line in self.lines)

    @property
    def sub_total_cents(self) -> int:
        """What is taxed: fees less coupons and progressive billing."""
        taken = sum(credit.amount_cents for credit in self.credits if credit.before_taxes)
        return self.fees_amount_cents - taken

    @property
    def total_cents(self) -> int:
        """What is left to collect."""
        taken = sum(credit.amount_cents for credit in self.credits)
        taken += sum(paid.amount_cents for paid in self.prepaid)
        return self.fees_amount_cents + self.taxes.amount_cents - taken
