"""Credits, shares, traceability, refills and rule days (coupons_wallets_credit_notes.md §5 - §7, invoices.md §6.6)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_engine.domain.wallets.calendar import is_day, next_day
from lago_engine.domain.wallets.credits import buy, give_up, to_credits
from lago_engine.domain.wallets.model import RecurringRule, Wallet, WalletTransaction
from lago_engine.domain.wallets.refill import threshold_refill
from lago_engine.domain.wallets.shares import largest_remainder
from lago_engine.domain.wallets.traceability import take

NOW = datetime(2024, 1, 1, tzinfo=UTC)
ID = UUID(int=1)


def wallet(**fields: Any) -> Wallet:
    base = Wallet(
        id=ID, customer_id=ID, external_customer_id="a", billing_entity_code="b", currency="EUR",
        code="c", rate=Decimal(1), created_at=NOW, updated_at=NOW, **fields,
    )  # fmt: skip
    return base


@pytest.mark.parametrize(
    ("credits", "rate", "amount_cents", "stored"),
    [("3.3333339", "2.5", 833, "3.332"), ("0.0019", "2.5", 0, "0"), ("10", "1", 1_000, "10")],
)
def test_only_whole_minor_units_exist(
    credits: str, rate: str, amount_cents: int, stored: str
) -> None:
    assert buy(Decimal(credits), Decimal(rate), "EUR") == (amount_cents, Decimal(stored))


def test_voided_credits_keep_their_figure() -> None:
    assert give_up(Decimal("3.3333339"), Decimal("2.5"), "EUR") == (833, Decimal("3.33333"))
    assert to_credits(7_250, Decimal("0.5"), "USD") == 145


def test_two_takes_that_would_round_up_stay_within_the_total() -> None:
    assert largest_remainder([Decimal("50.5"), Decimal("49.5")]) == [51, 49]


@given(st.lists(st.decimals(0, 10_000, places=7), max_size=6))
def test_shares_add_up_and_are_near(amounts: list[Decimal]) -> None:
    shares = largest_remainder(amounts)
    assert abs(sum(shares) - sum(amounts, Decimal(0))) <= Decimal("0.5")
    assert all(abs(s - a) < 1 for s, a in zip(shares, amounts, strict=True))


def inbound(number: int, left: int, **fields: Any) -> WalletTransaction:
    kind = fields.pop("kind", "granted")
    return WalletTransaction(
        id=UUID(int=number), wallet_id=ID, transaction_type="inbound", transaction_status=kind,
        status="settled", amount_cents=left, credit_amount=Decimal(left), created_at=NOW,
        remaining_amount_cents=left, **fields,
    )  # fmt: skip


def test_inbound_is_eaten_by_priority_then_granted_then_age() -> None:
    sources = [
        inbound(1, 10, kind="purchased"),
        inbound(2, 10),
        inbound(3, 10, priority=1, kind="purchased"),
    ]
    taken = take(sources, 25, ID)
    assert [(link.inbound_id.int, link.amount_cents) for link in taken] == [
        (3, 10), (2, 10), (1, 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ongoing", "paid"), [(-4_700, "150"), (9_200, "30"), (6_500, "60"), (10_100, "0")]
)
def test_a_fixed_threshold_rule_buys_enough(ongoing: int, paid: str) -> None:
    rule = RecurringRule(
        id=ID, trigger="threshold", created_at=NOW, threshold_credits=Decimal(100),
        paid_credits=Decimal(30), granted_credits=Decimal(5),
    )  # fmt: skip
    refill = threshold_refill(rule, wallet(), ongoing, 0)
    assert refill.paid == Decimal(paid)
    assert refill.granted == (5 if refill.paid else 0)


@pytest.mark.parametrize(
    ("interval", "anchor", "after", "day"),
    [
        ("monthly", "2024-01-31", "2024-01-31", "2024-02-29"),
        ("monthly", "2024-01-31", "2024-03-31", "2024-04-30"),
        ("quarterly", "2024-01-15", "2024-01-15", "2024-04-15"),
        ("semiannual", "2024-08-31", "2024-08-31", "2025-02-28"),
        ("yearly", "2024-02-29", "2024-02-29", "2025-02-28"),
        ("weekly", "2024-01-01", "2024-01-01", "2024-01-08"),
        ("weekly", "2024-01-01", "2024-01-05", "2024-01-08"),
    ],
)
def test_days_of_interval_rules(interval: Any, anchor: str, after: str, day: str) -> None:
    first, last, found = map(date.fromisoformat, (anchor, after, day))
    assert next_day(interval, first, last) == found
    assert is_day(interval, first, found)
    assert not is_day(interval, first, date(2024, 1, 3))
