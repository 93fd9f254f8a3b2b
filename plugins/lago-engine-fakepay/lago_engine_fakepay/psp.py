"""The books of the pretended PSP: no I/O; every change happens at once, so none can interleave."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterable

import msgspec

from lago_engine_fakepay.behaviour import DECLINES, Behaviour, behaviour_of
from lago_engine_fakepay.dialect import (
    Amount,
    Customer,
    CustomerInput,
    Event,
    Method,
    Operation,
    Payment,
    PaymentInput,
    PaymentStatus,
    Problem,
    Refund,
    RefundStatus,
    Session,
    SessionInput,
)

SESSION_LIFE_S = 24 * 3600


class Refused(Exception):
    """The request is wrong: `status` is the HTTP status of the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.problem = Problem(code, message)


class Psp:
    """Customers, payments, refunds and hosted pages of one merchant, in memory."""

    def __init__(self) -> None:
        self.customers: dict[str, Customer] = {}
        self.payments: dict[str, Payment] = {}
        self.refunds: dict[str, Refund] = {}
        self.holds_refunds = False
        self.sessions: dict[str, tuple[Session, SessionInput]] = {}
        self._requests: dict[str, bytes] = {}
        self._behaviours: dict[str, Behaviour] = {}
        self._struck: set[str] = set()
        self._payments_made: Counter[str] = Counter()
        self._scripts: dict[str, deque[str]] = {}
        self._events = 0

    # ---- customers ------------------------------------------------------------------------
    def customer(self, wanted: CustomerInput) -> Customer:
        """Finds or creates; a new customer has one method, `tok_ok`."""
        new_id = _id("cus", wanted.reference)
        fresh = Customer(id=new_id, reference=wanted.reference, methods=(Method(id="tok_ok"),))
        return self.customers.setdefault(new_id, fresh)

    def set_methods(self, customer_id: str, tokens: Iterable[str]) -> Customer:
        """Replaces the customer's methods; the first is the default one."""
        methods = tuple(Method(id=token) for token in tokens)
        changed = msgspec.structs.replace(self.find_customer(customer_id), methods=methods)
        self.customers[customer_id] = changed
        return changed

    def find_customer(self, customer_id: str) -> Customer:
        """Raises `Refused` (404)."""
        if customer_id not in self.customers:
            raise Refused(404, "customer_not_found", "There is no such customer.")
        return self.customers[customer_id]

    # ---- payments -------------------------------------------------------------------------
    def script(self, token: str, steps: Iterable[str]) -> None:
        """The next payments with `token` behave as these tokens, one each."""
        self._scripts[token] = deque(steps)

    def plan(self, key: str, wanted: PaymentInput) -> Behaviour:
        """How the payment with this key behaves, the same for every repetition.

        The fault strikes once. Raises `Refused` for a used key with another body.
        """
        self._claim(key, wanted)
        if wanted.amount.minor() <= 0:
            raise Refused(422, "invalid_amount", "The amount must be positive.")
        if key not in self._behaviours:
            token = self._method(wanted)
            script = self._scripts.get(token)
            step = script.popleft() if script else token
            made = self._payments_made[step]
            self._behaviours[key] = behaviour_of(step, earlier_payments=made)
            self._payments_made[step] += 1
        planned = self._behaviours[key]
        if key in self._struck:
            planned = msgspec.structs.replace(planned, fault=None)
        self._struck.add(key)
        return planned

    def pay(self, key: str, wanted: PaymentInput, planned: Behaviour, origin: str) -> Payment:
        """Makes the payment, or returns the one already made with this key."""
        payment_id = _id("pay", key)
        if payment_id not in self.payments:
            self.payments[payment_id] = Payment(
                id=payment_id,
                reference=wanted.reference,
                status=planned.status,
                amount=wanted.amount,
                refunded=Amount.of(0, wanted.amount.currency),
                customer=wanted.customer or None,
                method=self._method(wanted),
                error=planned.problem,
                action_url=f"{origin}/actions/{payment_id}"
                if planned.status == "requires_action"
                else None,
            )
        return self.payments[payment_id]

    def find_payment(self, payment_id: str) -> Payment:
        """Raises `Refused` (404)."""
        if payment_id not in self.payments:
            raise Refused(404, "payment_not_found", "There is no such payment.")
        return self.payments[payment_id]

    def settle(self, payment_id: str, status: PaymentStatus) -> Payment:
        """Ends an open payment; one that has ended stays as it is."""
        payment = self.find_payment(payment_id)
        if payment.status in ("processing", "requires_action"):
            error = Problem("do_not_honor", DECLINES["do_not_honor"])
            payment = msgspec.structs.replace(
                payment, status=status, error=error if status == "failed" else None
            )
            self.payments[payment_id] = payment
        return payment

    def refund(self, key: str, payment_id: str, amount: Amount) -> Refund:
        """Gives money back once per key; raises `Refused` for more than is left."""
        payment = self.find_payment(payment_id)
        self._claim(key, amount)
        refund_id = _id("re", key)
        if refund_id not in self.refunds:
            refunded = payment.refunded.minor() + amount.minor()
            same_currency = amount.currency == payment.amount.currency
            if payment.status != "succeeded" or not same_currency or amount.minor() <= 0:
                raise Refused(422, "not_refundable", "This payment cannot be refunded so.")
            if refunded > payment.amount.minor():
                raise Refused(422, "refund_exceeds_payment", "That is more than is left.")
            self.payments[payment_id] = msgspec.structs.replace(
                payment, refunded=Amount.of(refunded, amount.currency)
            )
            status: RefundStatus = "processing" if self.holds_refunds else "succeeded"
            self.refunds[refund_id] = Refund(
                id=refund_id, payment=payment_id, amount=amount, status=status
            )
        return self.refunds[refund_id]

    def settle_refund(self, refund_id: str, status: RefundStatus) -> Refund:
        """Ends a refund under way; raises `Refused` (404) for one that is unknown or has ended.

        A failed one is money that stays with the merchant.
        """
        refund = self.refunds.get(refund_id)
        if refund is None or refund.status != "processing":
            raise Refused(404, "refund_not_found", "There is no such refund under way.")
        if status == "failed":
            payment = self.find_payment(refund.payment)
            left = payment.refunded.minor() - refund.amount.minor()
            self.payments[payment.id] = msgspec.structs.replace(
                payment, refunded=Amount.of(left, refund.amount.currency)
            )
        self.refunds[refund_id] = msgspec.structs.replace(refund, status=status)
        return self.refunds[refund_id]

    def operation(self, *, key: str | None = None, operation_id: str | None = None) -> Operation:
        """A payment or refund by idempotency key or id; raises `Refused` (404)."""
        pay_id, refund_id = operation_id, operation_id
        if key is not None:
            pay_id, refund_id = _id("pay", key), _id("re", key)
        payment, refund = self.payments.get(pay_id or ""), self.refunds.get(refund_id or "")
        if payment is None and refund is None:
            raise Refused(404, "operation_not_found", "There is no such operation.")
        return Operation(payment=payment, refund=refund)

    # ---- hosted pages ---------------------------------------------------------------------
    def open_session(self, key: str, wanted: SessionInput, origin: str, now_s: int) -> Session:
        """A page, the same for the same key."""
        self._claim(key, wanted)
        session_id = _id("cs", key)
        if session_id not in self.sessions:
            url = f"{origin}/checkout/{session_id}"
            session = Session(id=session_id, url=url, expires_at=now_s + SESSION_LIFE_S)
            self.sessions[session_id] = (session, wanted)
        return self.sessions[session_id][0]

    def find_session(self, session_id: str, now_s: int) -> SessionInput:
        """What the page is for; raises `Refused` when it is unknown (404) or expired (410)."""
        if session_id not in self.sessions:
            raise Refused(404, "session_not_found", "There is no such page.")
        session, wanted = self.sessions[session_id]
        if now_s >= session.expires_at:
            raise Refused(410, "session_expired", "The page has expired.")
        return wanted

    def complete_session(self, session_id: str, origin: str, now_s: int) -> Event:
        """The payer agrees: makes the payment or stores a method; tells what happened."""
        wanted = self.find_session(session_id, now_s)
        if wanted.payment is None:
            customer = self.find_customer(wanted.customer)
            tokens = [
                "tok_ok",
                *(method.id for method in customer.methods if method.id != "tok_ok"),
            ]
            self.set_methods(customer.id, tokens)
            return self.event(
                "method.added", now_s, customer=customer.id, method=Method(id="tok_ok")
            )
        payment = self.pay(f"session:{session_id}", wanted.payment, Behaviour(), origin)
        return self.event("payment.succeeded", now_s, payment=payment)

    # ---- events ---------------------------------------------------------------------------
    def event(
        self,
        kind: str,
        now_s: int,
        *,
        payment: Payment | None = None,
        refund: Refund | None = None,
        customer: str | None = None,
        method: Method | None = None,
    ) -> Event:
        """A new event with an id of its own."""
        self._events += 1
        return Event(
            id=_id("evt", f"{self._events}:{now_s}"),
            type=kind,
            created=now_s,
            payment=payment,
            refund=refund,
            customer=customer,
            method=method,
        )

    def _method(self, wanted: PaymentInput) -> str:
        if wanted.method is not None:
            return wanted.method
        customer = self.customers.get(wanted.customer)
        return customer.methods[0].id if customer and customer.methods else "none"

    def _claim(self, key: str, body: msgspec.Struct) -> None:
        if not key:
            raise Refused(400, "key_missing", "An Idempotency-Key header is needed.")
        if self._requests.setdefault(key, msgspec.json.encode(body)) != msgspec.json.encode(body):
            raise Refused(409, "key_reused", "This key was used with another body.")


def _id(prefix: str, source: str) -> str:
    return f"{prefix}_{hashlib.sha256(source.encode()).hexdigest()[:24]}"
