"""What must be true of a log after every fact, kept by somebody who only reads the facts.

Each instant of a subscription that is in force is billed exactly once: its usage in windows that follow one another to
the microsecond, its base fee in periods that follow one another by local days. Knows nothing of how the engine works.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from reference.periods_oracle import DAY, begun_days, first_instant, start_after, start_on_or_before

from lago_engine.domain import events as e
from lago_engine.domain.catalog.entities import Plan
from lago_engine.domain.customer.state import Subscription
from lago_engine.domain.invoicing.credit_note import CreditNote
from lago_engine.domain.invoicing.model import Fee, Invoice, InvoiceLink

MICROSECOND = timedelta(microseconds=1)
ZONE_SHIFT_MAX = timedelta(days=4, hours=26)


def local_day(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date()


class Life:
    """One subscription: how far its usage and its base fee are billed, exclusive ends."""

    def __init__(self, subscription: Subscription, customer_id: UUID) -> None:
        self.subscription = subscription
        self.customer_id = customer_id
        self.billed_zone: str | None = None
        self.usage_from: datetime | None = None
        self.usage_until: datetime | None = None
        self.base_until: date | None = None
        self.reasons: list[str] = []
        self.moved = False

    @property
    def first_period(self) -> datetime:
        """Of a start in the past only the running period counts (subscriptions.md §2.3)."""
        started_at = self.subscription.started_at
        assert started_at is not None
        return max(started_at, self.subscription.created_at)


class Ledger:
    """Reads facts in the order of the log; raises AssertionError when money went wrong."""

    def __init__(self) -> None:
        self.lives: dict[UUID, Life] = {}
        self.invoices: dict[UUID, Invoice] = {}
        self.plans: dict[tuple[UUID, int], Plan] = {}
        self.zones: dict[UUID, str] = {}
        self._numbers: dict[UUID, int] = {}
        self._credited: set[UUID] = set()

    def read(self, event: e.DomainEvent) -> None:
        match event:
            case e.PlanCreated(plan=plan) | e.PlanUpdated(plan=plan):
                self.plans[plan.id, plan.version] = plan
            case e.CustomerCreated(customer=customer) | e.CustomerUpdated(customer=customer):
                self._zone(customer.id, customer.timezone or "UTC")
            case (
                e.SubscriptionCreated(customer=customer, subscription=subscription)
                | e.SubscriptionStarted(customer=customer, subscription=subscription)
                | e.SubscriptionUpdated(customer=customer, subscription=subscription)
                | e.SubscriptionTrialEnded(customer=customer, subscription=subscription)
                | e.SubscriptionTerminated(customer=customer, subscription=subscription)
                | e.SubscriptionCanceled(customer=customer, subscription=subscription)
            ):
                self._subscription(subscription, customer.id)
            case e.InvoiceDrafted(invoice=invoice) | e.InvoiceClosed(invoice=invoice):
                self._invoice(invoice)
            case e.InvoiceRefreshed(invoice=invoice):
                self._invoice(invoice)
            case e.InvoiceFinalized(invoice=invoice):
                self._invoice(invoice)
                self._number(invoice)
            case e.CreditNoteCreated(credit_note=note):
                self._credit_note(note)

    def _zone(self, customer_id: UUID, zone: str) -> None:
        if self.zones.get(customer_id, zone) != zone:
            for life in self.lives.values():
                life.moved = life.moved or life.customer_id == customer_id
        self.zones[customer_id] = zone

    # --- subscriptions -------------------------------------------------------------------------

    def _subscription(self, after: Subscription, customer_id: UUID) -> None:
        life = self.lives.setdefault(after.id, Life(after, customer_id))
        before = life.subscription
        if before.status in ("terminated", "canceled"):
            assert after.status == before.status, "it had ended"
        assert after.subscription_at == before.subscription_at or before.status == "pending"
        if before.started_at is not None:
            assert after.started_at == before.started_at
        life.subscription = after
        if after.status == "terminated":
            assert after.terminated_at is not None
            assert after.next_billing_on is None
        self._one_in_force(after)

    def _one_in_force(self, subscription: Subscription) -> None:
        """Subscriptions with one external id are never in force at the same time."""
        if subscription.status != "active":
            return
        for life in self.lives.values():
            other = life.subscription
            if other.id != subscription.id and other.external_id == subscription.external_id:
                assert other.status != "active", "two are in force"
                if other.terminated_at and other.on_termination_invoice == "generate":
                    assert subscription.started_at is not None
                    assert other.terminated_at <= subscription.started_at, "they overlap"

    # --- invoices ------------------------------------------------------------------------------

    def _invoice(self, invoice: Invoice) -> None:
        self._adds_up(invoice)
        known = self.invoices.get(invoice.id)
        self.invoices[invoice.id] = invoice
        if known is not None:
            assert [link.timestamp for link in known.links] == [
                link.timestamp for link in invoice.links
            ]
            return
        for link in invoice.links:
            self._link(link, invoice)

    def _adds_up(self, invoice: Invoice) -> None:
        assert invoice.fees_amount_cents == sum(fee.amount_cents for fee in invoice.fees)
        assert all(fee.amount_cents >= 0 for fee in invoice.fees)
        credits = sum(credit.amount_cents for credit in invoice.credits or ())
        assert (
            invoice.total_amount_cents
            == invoice.fees_amount_cents + invoice.taxes_amount_cents - credits
        )

    def _number(self, invoice: Invoice) -> None:
        """Numbers of a customer's invoices follow one another."""
        assert invoice.sequential_id == self._numbers.get(invoice.customer_id, 0) + 1
        self._numbers[invoice.customer_id] = invoice.sequential_id

    def _link(self, link: InvoiceLink, invoice: Invoice) -> None:
        life = self.lives[link.subscription_id]
        ended = life.subscription.terminated_at
        if link.invoicing_reason == "subscription_terminating":
            assert "subscription_terminating" not in life.reasons, "two closing invoices"
        else:
            assert ended is None, "billed after its end"
        if link.invoicing_reason == "subscription_starting":
            assert "subscription_starting" not in life.reasons, "two starting invoices"
        else:
            self._usage(life, link)
        life.reasons.append(link.invoicing_reason)
        base = [
            fee
            for fee in invoice.fees
            if fee.fee_type == "subscription" and fee.subscription_id == link.subscription_id
        ]
        assert len(base) <= 1
        for fee in base:
            self._base_fee(life, link, fee)

    def _usage(self, life: Life, link: InvoiceLink) -> None:
        """Usage windows follow one another without gap or overlap."""
        start, end = link.charges_from_datetime, link.charges_to_datetime
        assert start is not None
        assert end is not None
        if life.usage_until is None:
            expected = self._expected_start(life, link)
            assert start == expected or life.moved, (start, expected)
            life.usage_from = start
        else:
            assert start == life.usage_until, (start, life.usage_until)
        assert start <= end + MICROSECOND
        assert life.subscription.started_at is not None
        assert end <= max(link.timestamp, life.subscription.started_at)
        life.usage_until = end + MICROSECOND
        life.billed_zone = link.timezone

    def _expected_start(self, life: Life, link: InvoiceLink) -> datetime:
        """The exact start; of a start in the past that of the period in which it became known."""
        plan = self.plans[link.plan_id, link.plan_version]
        zone = self.zones[life.customer_id]
        grid = _grid(life.subscription, plan, zone, of_charges=True)
        known = local_day(life.first_period, zone)
        first = first_instant(start_on_or_before(known, *grid), zone)
        assert life.subscription.started_at is not None
        return max(first, life.subscription.started_at)

    def _base_fee(self, life: Life, link: InvoiceLink, fee: Fee) -> None:
        """Base fees follow one another by local days, and each is the price of its days."""
        plan = self.plans[link.plan_id, link.plan_version]
        first = local_day(link.from_datetime, link.timezone)
        last = local_day(link.to_datetime, link.timezone)
        if life.base_until is not None:
            assert first == life.base_until, (first, life.base_until)
        life.base_until = last + DAY
        expected = self._price(life, link, plan, first, last)
        assert fee.amount_cents == expected, (fee.amount_cents, expected)

    def _price(self, life: Life, link: InvoiceLink, plan: Plan, first: date, last: date) -> int:
        subscription = life.subscription
        grid = _grid(subscription, plan, link.timezone)
        # After a change of zone the first day may lie before the period.
        start = start_on_or_before(last, *grid)
        length = (start_after(start, *grid) - start).days
        free_until = _trial_end(subscription, plan)
        days = (last - first).days + 1
        assert subscription.started_at is not None
        of_start = first == local_day(subscription.started_at, link.timezone)
        if free_until is not None and free_until > link.from_datetime:
            days = begun_days(free_until, link.to_datetime, link.timezone)
        elif (
            of_start
            and plan.pay_in_advance
            and grid[1] == "anniversary"
            and not subscription.replaces
        ):
            days = length
        upgraded = subscription.replaced_by and subscription.replaced_by.succession == "upgrade"
        if upgraded and not plan.pay_in_advance and link.timestamp == subscription.terminated_at:
            days = max(days - 1, 0)
        return int(Fraction(days * plan.amount_cents, length) + Fraction(1, 2))

    def _credit_note(self, note: CreditNote) -> None:
        """Days after an end are given back once, for what was paid for them."""
        assert note.reason == "order_cancellation"
        (item,) = note.amounts.items
        assert item.fee_id not in self._credited, "given back twice"
        self._credited.add(item.fee_id)
        invoice = self.invoices[note.invoice_id]
        (fee,) = (fee for fee in invoice.fees if fee.id == item.fee_id)
        (link,) = (link for link in invoice.links if link.subscription_id == fee.subscription_id)
        life = self.lives[link.subscription_id]
        assert life.subscription.terminated_at is not None
        plan = self.plans[link.plan_id, link.plan_version]
        zone = self.zones[life.customer_id]
        last = local_day(fee.to_datetime, link.timezone)
        ended = local_day(life.subscription.terminated_at, zone)
        change = life.subscription.replaced_by
        unused = (last - ended).days + bool(change and change.succession == "upgrade")
        free_until = _trial_end(life.subscription, plan)
        if free_until is not None and free_until > life.subscription.terminated_at:
            unused = (last - local_day(free_until, zone)).days + 1
        grid = _grid(life.subscription, plan, link.timezone)
        start = start_on_or_before(last, *grid)
        length = (start_after(start, *grid) - start).days
        expected = min(Fraction(unused * plan.amount_cents, length), Fraction(fee.amount_cents))
        assert abs(Fraction(item.precise_amount_cents) - expected) < Fraction(1, 10_000)

    # --- at the end ----------------------------------------------------------------------------

    def close(self, now: datetime) -> None:
        """Everything is billed up to the beginning of the running period, or to the end."""
        for life in self.lives.values():
            subscription = life.subscription
            if subscription.status == "active":
                self._billed_until_now(life, now)
            elif subscription.status == "terminated":
                self._billed_until_the_end(life)

    def _billed_until_now(self, life: Life, now: datetime) -> None:
        subscription = life.subscription
        plan = self._plan_of(subscription)
        zone = self.zones[life.customer_id]
        grid = _grid(subscription, plan, zone, of_charges=True)
        running = first_instant(start_on_or_before(local_day(now, zone), *grid), zone)
        if life.usage_until is None:
            assert running <= life.first_period or life.moved
        elif life.billed_zone == zone:
            assert life.usage_until == running, (life.usage_until, running)
        else:
            assert abs(life.usage_until - running) <= ZONE_SHIFT_MAX

    def _billed_until_the_end(self, life: Life) -> None:
        subscription = life.subscription
        if subscription.on_termination_invoice == "skip" and not subscription.replaced_by:
            assert "subscription_terminating" not in life.reasons
            return
        assert life.usage_until is not None
        assert subscription.terminated_at is not None
        assert subscription.started_at is not None
        ended_at = max(subscription.terminated_at, subscription.started_at)
        assert timedelta(0) <= life.usage_until - ended_at <= MICROSECOND
        plan = self._plan_of(subscription)
        if not plan.pay_in_advance and _trial_end(subscription, plan) is None:
            last_day = local_day(ended_at - MICROSECOND, self.zones[life.customer_id])
            assert life.base_until is not None
            assert life.base_until >= last_day or life.moved

    def counted(self, life: Life) -> int:
        """Usage events on the invoices of a subscription."""
        return sum(
            fee.events_count or 0
            for invoice in self.invoices.values()
            for fee in invoice.fees
            if fee.subscription_id == life.subscription.id and fee.fee_type == "charge"
        )

    def billed_spans(self, external_id: str) -> Iterator[tuple[Life, datetime, datetime]]:
        """[from, to) of the usage that was billed for each subscription under an id."""
        for life in self.lives.values():
            if life.subscription.external_id == external_id and life.usage_until is not None:
                assert life.usage_from is not None
                end = life.subscription.terminated_at or datetime.max.replace(tzinfo=UTC)
                yield life, life.usage_from, min(life.usage_until, end)

    def _plan_of(self, subscription: Subscription) -> Plan:
        versions = [plan for (id_, _), plan in self.plans.items() if id_ == subscription.plan_id]
        return max(versions, key=lambda plan: plan.version)


def _grid(
    subscription: Subscription, plan: Plan, zone: str, *, of_charges: bool = False
) -> tuple[Any, ...]:
    anchor = local_day(subscription.subscription_at, zone)
    monthly = of_charges and bool(plan.bill_charges_monthly)
    return "monthly" if monthly else plan.interval, subscription.billing_time, anchor


def _trial_end(subscription: Subscription, plan: Plan) -> datetime | None:
    if not plan.trial_period:
        return None
    start = subscription.initial_started_at or subscription.started_at
    assert start is not None
    return start + timedelta(days=float(plan.trial_period))
