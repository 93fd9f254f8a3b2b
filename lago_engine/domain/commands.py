"""Commands: what is asked of an organization or of a customer, in the imperative.

`input` is the decoded JSON object under the request's wrapper key, untouched (its numbers are int or Decimal,
never float): deciding validates it with the wire's codes. `code`, `external_id` and the ids in other members name what the request's path names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from lago_engine.domain.invoicing.issued import GeneratedDocument

Input = Mapping[str, Any]


class OrganizationCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what is decided against an organization's settings and catalog."""

    organization_id: UUID


class CustomerCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what is decided against one customer."""

    organization_id: UUID
    customer_id: UUID


class BookingCommand(CustomerCommand, frozen=True, kw_only=True):
    """Base of what books money on request, once for one key.

    idempotency_key: the client's name for the request. fingerprint: of what it sent.
    """

    idempotency_key: str | None = None
    fingerprint: str = ""


# --- organization ------------------------------------------------------------------------------


class CreateOrganization(OrganizationCommand, frozen=True, kw_only=True):
    """Make an organization under the given id, with its first API key.

    key_hash: SHA-256 (hex) of the key. hmac_key: the secret that signs its webhooks.
    test: it has its own clock and accepts the set-up fields of a test organization (test_clocks.md §1).
    """

    input: Input
    key_hash: str
    key_last_four: str
    hmac_key: str
    test: bool = False


class UpdateOrganization(OrganizationCommand, frozen=True, kw_only=True):
    input: Input


class SetClock(OrganizationCommand, frozen=True, kw_only=True):
    """Set the virtual clock of a test organization; `now` None returns it to real time.

    rewind: the clock may move to an earlier instant.
    """

    now: datetime | None
    rewind: bool = False


class CreateWebhookEndpoint(OrganizationCommand, frozen=True, kw_only=True):
    input: Input


class UpdateWebhookEndpoint(OrganizationCommand, frozen=True, kw_only=True):
    endpoint_id: UUID
    input: Input


class DeleteWebhookEndpoint(OrganizationCommand, frozen=True, kw_only=True):
    endpoint_id: UUID


class ConnectPaymentProvider(OrganizationCommand, frozen=True, kw_only=True):
    """Create a provider connection, or replace the one with the same code."""

    input: Input


class ReportUsageErrors(OrganizationCommand, frozen=True, kw_only=True):
    """Usage events received in an hour will not be billed as meant: their transaction ids, by what is wrong.

    cut: there are more than the lists hold.
    """

    hour: datetime
    invalid_code: tuple[str, ...] = ()
    missing_aggregation_property: tuple[str, ...] = ()
    invalid_filter_values: tuple[str, ...] = ()
    cut: bool = False


# --- catalog -----------------------------------------------------------------------------------


class CreateBillableMetric(OrganizationCommand, frozen=True, kw_only=True):
    input: Input


class UpdateBillableMetric(OrganizationCommand, frozen=True, kw_only=True):
    code: str
    input: Input


class DeleteBillableMetric(OrganizationCommand, frozen=True, kw_only=True):
    code: str


class CreateTax(OrganizationCommand, frozen=True, kw_only=True):
    input: Input


class UpdateTax(OrganizationCommand, frozen=True, kw_only=True):
    code: str
    input: Input


class DeleteTax(OrganizationCommand, frozen=True, kw_only=True):
    code: str


class CreateAddOn(OrganizationCommand, frozen=True, kw_only=True):
    input: Input


class UpdateAddOn(OrganizationCommand, frozen=True, kw_only=True):
    code: str
    input: Input


class DeleteAddOn(OrganizationCommand, frozen=True, kw_only=True):
    code: str


class CreatePricingUnit(OrganizationCommand, frozen=True, kw_only=True):
    input: Input


class UpdatePricingUnit(OrganizationCommand, frozen=True, kw_only=True):
    code: str
    input: Input


class CreatePlan(OrganizationCommand, frozen=True, kw_only=True):
    input: Input


class UpdatePlan(OrganizationCommand, frozen=True, kw_only=True):
    code: str
    input: Input


class DeletePlan(OrganizationCommand, frozen=True, kw_only=True):
    code: str


class RemovePlan(OrganizationCommand, frozen=True, kw_only=True):
    """Nobody is on the plan any more: what its deletion asked for."""

    plan_id: UUID


class PlanPartCommand(OrganizationCommand, frozen=True, kw_only=True):
    """Base of what is asked of a charge, a filter, a fixed charge or the metadata of a plan."""

    plan_code: str


class CreateCharge(PlanPartCommand, frozen=True, kw_only=True):
    input: Input


class UpdateCharge(PlanPartCommand, frozen=True, kw_only=True):
    code: str
    input: Input


class DeleteCharge(PlanPartCommand, frozen=True, kw_only=True):
    code: str
    input: Input


class CreateChargeFilter(PlanPartCommand, frozen=True, kw_only=True):
    charge_code: str
    input: Input


class UpdateChargeFilter(PlanPartCommand, frozen=True, kw_only=True):
    charge_code: str
    filter_id: UUID
    input: Input


class DeleteChargeFilter(PlanPartCommand, frozen=True, kw_only=True):
    charge_code: str
    filter_id: UUID
    input: Input


class CreateFixedCharge(PlanPartCommand, frozen=True, kw_only=True):
    input: Input


class UpdateFixedCharge(PlanPartCommand, frozen=True, kw_only=True):
    code: str
    input: Input


class DeleteFixedCharge(PlanPartCommand, frozen=True, kw_only=True):
    code: str
    input: Input


class ReplacePlanMetadata(PlanPartCommand, frozen=True, kw_only=True):
    """input: the new metadata; None stands for a request that names none."""

    input: Input | None


class MergePlanMetadata(PlanPartCommand, frozen=True, kw_only=True):
    input: Input | None


class DeletePlanMetadata(PlanPartCommand, frozen=True, kw_only=True):
    """Drop one key, or everything when `key` is None."""

    key: str | None = None


class CreateCoupon(OrganizationCommand, frozen=True, kw_only=True):
    input: Input


class UpdateCoupon(OrganizationCommand, frozen=True, kw_only=True):
    code: str
    input: Input


class DeleteCoupon(OrganizationCommand, frozen=True, kw_only=True):
    code: str


# --- customer ----------------------------------------------------------------------------------


class UpsertCustomer(CustomerCommand, frozen=True, kw_only=True):
    """Create the customer, or update the present keys of the existing one."""

    external_id: str
    input: Input


class DeleteCustomer(CustomerCommand, frozen=True, kw_only=True):
    """End everything of a customer; its external id is free from then on."""


class CreateSubscription(CustomerCommand, frozen=True, kw_only=True):
    """taken_elsewhere: another customer of the organization has the external id active."""

    input: Input
    taken_elsewhere: bool = False


class UpdateSubscription(CustomerCommand, frozen=True, kw_only=True):
    subscription_id: UUID
    input: Input


class PriceOverride(CustomerCommand, frozen=True, kw_only=True):
    """Base of what gives a subscription prices of its own. code: that of a charge or a fixed charge."""

    subscription_id: UUID
    code: str


class OverrideCharge(PriceOverride, frozen=True, kw_only=True):
    input: Input


class CreateFilterOverride(PriceOverride, frozen=True, kw_only=True):
    input: Input


class OverrideFilter(PriceOverride, frozen=True, kw_only=True):
    filter_id: UUID
    input: Input


class DeleteFilterOverride(PriceOverride, frozen=True, kw_only=True):
    filter_id: UUID


class OverrideFixedCharge(PriceOverride, frozen=True, kw_only=True):
    input: Input


class TerminateSubscription(CustomerCommand, frozen=True, kw_only=True):
    external_id: str
    input: Input


class RefreshInvoice(CustomerCommand, frozen=True, kw_only=True):
    invoice_id: UUID


class FinalizeInvoice(CustomerCommand, frozen=True, kw_only=True):
    invoice_id: UUID


class VoidInvoice(CustomerCommand, frozen=True, kw_only=True):
    invoice_id: UUID
    input: Input


class CreateOneOffInvoice(BookingCommand, frozen=True, kw_only=True):
    input: Input


class UpdateInvoice(CustomerCommand, frozen=True, kw_only=True):
    invoice_id: UUID
    input: Input


class LoseDispute(CustomerCommand, frozen=True, kw_only=True):
    invoice_id: UUID


class RetryInvoice(CustomerCommand, frozen=True, kw_only=True):
    invoice_id: UUID


class DeleteInvoice(CustomerCommand, frozen=True, kw_only=True):
    invoice_id: UUID


class ApplyCoupon(CustomerCommand, frozen=True, kw_only=True):
    input: Input


class TerminateAppliedCoupon(CustomerCommand, frozen=True, kw_only=True):
    applied_coupon_id: UUID


class CreateCreditNote(BookingCommand, frozen=True, kw_only=True):
    invoice_id: UUID
    input: Input


class UpdateCreditNote(CustomerCommand, frozen=True, kw_only=True):
    credit_note_id: UUID
    input: Input


class ChangeCreditNoteMetadata(CustomerCommand, frozen=True, kw_only=True):
    """change: replace it by the input, merge the input, drop it all, or drop the key in the input."""

    credit_note_id: UUID
    change: Literal["replace", "merge", "drop", "drop_key"]
    input: Input


class VoidCreditNote(CustomerCommand, frozen=True, kw_only=True):
    credit_note_id: UUID


class CreateWallet(CustomerCommand, frozen=True, kw_only=True):
    input: Input


class UpdateWallet(CustomerCommand, frozen=True, kw_only=True):
    wallet_id: UUID
    input: Input


class TerminateWallet(CustomerCommand, frozen=True, kw_only=True):
    wallet_id: UUID


class ChangeWalletMetadata(CustomerCommand, frozen=True, kw_only=True):
    """change: replace it by the input, merge the input, drop it all, or drop the key in the input."""

    wallet_id: UUID
    change: Literal["replace", "merge", "drop", "drop_key"]
    input: Input


class CreateWalletTransactions(BookingCommand, frozen=True, kw_only=True):
    wallet_id: UUID
    input: Input


class RecordManualPayment(BookingCommand, frozen=True, kw_only=True):
    invoice_id: UUID
    input: Input


class RetryPayment(CustomerCommand, frozen=True, kw_only=True):
    invoice_id: UUID
    input: Input


class UpdateFee(CustomerCommand, frozen=True, kw_only=True):
    """Say whether a fee that stands alone is paid. regroup: it waits for an `advance_charges` invoice."""

    fee_id: UUID
    regroup: bool
    input: Input


class DeleteFee(CustomerCommand, frozen=True, kw_only=True):
    fee_id: UUID
    regroup: bool


# --- internal: the engine's own --------------------------------------------------------------------


class BillUsageInAdvance(CustomerCommand, frozen=True, kw_only=True):
    """Bill the usage that waits for these subscriptions, in log order, a bounded part of it at once."""

    subscription_ids: tuple[UUID, ...]


class RefreshWallets(CustomerCommand, frozen=True, kw_only=True):
    """Compare the wallets with usage that is not billed yet: tell of used up ones, apply threshold rules."""


class AdvanceTime(CustomerCommand, frozen=True, kw_only=True):
    """Do what became due for the customer up to and including `until`; `tasks` None means everything."""

    until: datetime
    tasks: tuple[str, ...] | None = None


class FollowPlan(CustomerCommand, frozen=True, kw_only=True):
    """The plan came to `version`: its children follow when `cascade` says so, scheduled downgrades are reviewed.

    applied_at_once: the fixed charges whose new units count from now on.
    """

    plan_id: UUID
    version: int
    cascade: bool
    applied_at_once: tuple[UUID, ...] = ()


class FollowMetric(CustomerCommand, frozen=True, kw_only=True):
    """A metric that child plans may price changed or was deleted."""

    metric_id: UUID


class FollowAddOn(CustomerCommand, frozen=True, kw_only=True):
    """An add-on that child plans may sell was deleted."""

    add_on_id: UUID


class RefreshDrafts(CustomerCommand, frozen=True, kw_only=True):
    """Compute the drafts of the plan's subscriptions again."""

    plan_id: UUID


class LeavePlan(CustomerCommand, frozen=True, kw_only=True):
    """End or cancel every subscription on the plan, which is about to be deleted."""

    plan_id: UUID


class RecordPaymentOutcome(CustomerCommand, frozen=True, kw_only=True):
    """What a payment provider answered or reported about one payment."""

    payment_id: UUID
    outcome: Any


class RecordPaymentLink(CustomerCommand, frozen=True, kw_only=True):
    """A payment provider made a hosted page for an invoice."""

    link: Any


class RecordRefundOutcome(CustomerCommand, frozen=True, kw_only=True):
    """What a payment provider answered about the refund of a credit note."""

    credit_note_id: UUID
    outcome: Any


class RecordDocument(CustomerCommand, frozen=True, kw_only=True):
    """The PDF of an invoice or a credit note was made."""

    document: GeneratedDocument


class LinkProviderCustomer(CustomerCommand, frozen=True, kw_only=True):
    """The provider made its own record of the customer, under this id."""

    provider_customer_id: str
