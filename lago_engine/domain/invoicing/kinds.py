"""Kinds of invoices, and which steps of the pipeline each goes through (invoices.md §5).

A kind is one column of the specification's table: it also tells a draft from what it becomes when finalized,
because a draft shows no coupon and no credit note: they are consumed only once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

InvoiceKind = Literal[
    "subscription_draft", "subscription", "in_advance_charge", "progressive_billing",
    "one_off", "credit", "advance_charges",
]  # fmt: skip

InvoiceType = Literal[
    "subscription", "add_on", "credit", "one_off", "advance_charges", "progressive_billing"
]

Step = Literal["coupons", "taxes", "credit_notes", "prepaid_credits"]

STEPS: Final[Mapping[InvoiceKind, tuple[Step, ...]]] = {
    "subscription_draft": ("taxes",),
    "subscription": ("coupons", "taxes", "credit_notes", "prepaid_credits"),
    "in_advance_charge": ("coupons", "taxes", "credit_notes", "prepaid_credits"),
    "progressive_billing": ("coupons", "taxes", "credit_notes", "prepaid_credits"),
    "one_off": ("taxes",),
    "credit": (),
    "advance_charges": (),
}
"""What happens to the fees, in this order.

Progressive-billing credits belong before the coupons. The fees of
`advance_charges` were taxed when they were made.
"""

TYPES: Final[Mapping[InvoiceKind, InvoiceType]] = {
    "subscription_draft": "subscription",
    "subscription": "subscription",
    "in_advance_charge": "subscription",
    "progressive_billing": "progressive_billing",
    "one_off": "one_off",
    "credit": "credit",
    "advance_charges": "advance_charges",
}
"""The `invoice_type` that clients see."""
