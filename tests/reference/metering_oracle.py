"""Slow, obvious meter: keeps every event in a list and computes every answer from scratch.

Written from events.md §1-§4, §6 and metrics.md §3, §4, §6, with Python's `json` and `decimal`.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from reference.aggregation_oracle import ChargeSpec, UsageRow, charge_usage
from reference.expression_oracle import Failed, evaluate
from reference.keeping_oracle import Keep
from reference.values import EXACT, NUMBER, Number, floor_ms, parse_number, plain

SECONDS = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
BLANKS = " \t\n\f\r"


# (organization, code) -> (field, expression)
Metrics = dict[tuple[bytes, str], tuple[str, str]]


class Malformed(Exception):
    pass


def parse_json(body: bytes) -> Any:
    """Strict JSON: UTF-8, no lone surrogates, at most 64 levels, numbers kept as text."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        check_strings([part for pair in pairs for part in pair])
        return dict(pairs)

    def refuse(_: str) -> Any:
        raise Malformed

    try:
        text = body.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=members,
            parse_int=Number,
            parse_float=Number,
            parse_constant=refuse,
        )
        check_strings(value)
    except (ValueError, RecursionError) as error:
        raise Malformed from error
    if depth(text) > 64:
        raise Malformed
    return value


def check_strings(value: Any) -> None:
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, list):
        for item in value:
            check_strings(item)


def depth(text: str) -> int:
    deepest = level = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            in_string = True
        elif character in "[{":
            level += 1
            deepest = max(deepest, level)
        elif character in "]}":
            level -= 1
    return deepest


def text_of(value: Any) -> str | None:
    """Strings as they are, numbers as written, everything else is dropped."""
    if isinstance(value, Number):
        return value.text
    return value if isinstance(value, str) else None


def parse_timestamp(value: Any) -> int | None:
    """Microseconds, None for the reception time; ValueError for an invalid format."""
    if isinstance(value, list | dict) and not isinstance(value, Number):
        return None
    if value is None or value is False:
        return None
    text = text_of(value)
    if text is None or not SECONDS.fullmatch(text.strip(BLANKS)):
        raise ValueError
    at = EXACT.multiply(Decimal(text.strip(BLANKS)), Decimal(10**6))
    at_us = int(at.to_integral_value(decimal.ROUND_FLOOR))
    if not -(2**63) <= at_us < 2**63:
        raise ValueError
    return at_us


def parse_precise_amount(value: Any) -> str | None:
    text = (text_of(value) or "").strip(BLANKS)
    if not text:
        return None
    amount = parse_number(text, NUMBER)
    if amount is None:
        raise ValueError
    rounded = amount.quantize(Decimal("1e-15"), decimal.ROUND_HALF_UP, EXACT)
    if abs(rounded) >= Decimal(10) ** 25:
        raise ValueError
    written = plain(rounded)
    return written if "." in written else written + ".0"


def instant(at_us: int, decimals: int) -> str:
    """ISO 8601 for any year: the calendar repeats every 400 years (146,097 days)."""
    cycles, within = divmod(at_us + 62_135_596_800_000_000, 146_097 * 86_400_000_000)
    moment = datetime.datetime(1, 1, 1) + datetime.timedelta(microseconds=within)
    year = moment.year + 400 * cycles
    shown = f"{year:04d}" if year >= 0 else f"-{-year:04d}"
    fraction = f".{moment.microsecond // 1000:03d}" if decimals else ""
    return f"{shown}-{moment:%m-%dT%H:%M:%S}{fraction}Z"


@dataclasses.dataclass(frozen=True)
class Event:
    organization: bytes
    transaction_id: str
    external_subscription_id: str | None
    code: str
    timestamp_us: int
    received_at_us: int
    properties: dict[str, Any]
    precise: str | None

    def key(self) -> tuple[bytes, str, str] | None:
        if self.external_subscription_id is None:
            return None
        return self.organization, self.external_subscription_id, self.transaction_id

    def rendered(self) -> dict[str, Any]:
        """The event object without its `lago_id`."""
        return {
            "transaction_id": self.transaction_id,
            "lago_customer_id": None,
            "code": self.code,
            "timestamp": instant(self.timestamp_us, 3),
            "precise_total_amount_cents": self.precise,
            "properties": self.properties,
            "lago_subscription_id": None,
            "external_subscription_id": self.external_subscription_id,
            "created_at": instant(self.received_at_us, 0),
        }


def read_event(
    item: Any, organization: bytes, now_us: int, metrics: Metrics
) -> Event | dict[str, list[str]] | str:
    """The event, its problems by field, or the failure of its metric's expression."""
    fields = item if isinstance(item, dict) else {}
    try:
        timestamp_us = parse_timestamp(fields.get("timestamp"))
    except ValueError:
        return {"timestamp": ["invalid_format"]}
    properties = fields.get("properties")
    if not isinstance(properties, dict):
        properties = {}
    code = text_of(fields.get("code"))
    if (organization, code) in metrics:
        field, expression = metrics[organization, code or ""]
        at = now_us if timestamp_us is None else timestamp_us
        try:
            value = evaluate(expression, code or "", at, properties)
        except Failed as error:
            return f"expression_evaluation_failed: {error}"
        properties = {**properties, field: value}
    problems: dict[str, list[str]] = {}
    texts: dict[str, str | None] = {}
    for field in ("transaction_id", "code", "external_subscription_id"):
        text = texts[field] = text_of(fields.get(field))
        if field != "external_subscription_id" and is_blank(text or ""):
            problems[field] = ["value_is_mandatory"]
        elif text is not None and len(text.encode()) > 65536:
            problems[field] = ["value_is_too_long"]
    precise = None
    try:
        precise = parse_precise_amount(fields.get("precise_total_amount_cents"))
    except ValueError:
        problems["precise_total_amount_cents"] = ["invalid_format"]
    if problems:
        return problems
    return Event(
        organization=organization,
        transaction_id=texts["transaction_id"] or "",
        external_subscription_id=texts["external_subscription_id"],
        code=texts["code"] or "",
        timestamp_us=now_us if timestamp_us is None else timestamp_us,
        received_at_us=now_us,
        properties=properties,
        precise=precise,
    )


def is_blank(text: str) -> bool:
    white_space = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    return all(c in white_space or "\u2000" <= c <= "\u200a" for c in text)


def invalid(details: Any) -> Any:
    return {
        "status": 422,
        "error": "Unprocessable Entity",
        "code": "validation_errors",
        "error_details": details,
    }


@dataclasses.dataclass
class Subscription:
    organization: bytes
    external_id: str
    charges: list[ChargeSpec]
    started_at_us: int
    terminated_at_us: int | None

    def names(self, event: Event) -> bool:
        """The event is of this organization and external id, at whatever time."""
        return (event.organization, event.external_subscription_id) == (
            self.organization,
            self.external_id,
        )

    def span(self, from_us: int, to_us: int) -> tuple[int, int]:
        """The instants of the window that are the subscription's, half-open."""
        start = max(floor_ms(from_us), floor_ms(self.started_at_us))
        if self.terminated_at_us is None:
            return start, floor_ms(to_us)
        return start, min(floor_ms(to_us), floor_ms(self.terminated_at_us))


class Answer(NamedTuple):
    status: int
    wait_for: tuple[int, ...]
    body: Any


class Oracle:
    """Committed, sealed and open events as plain lists."""

    def __init__(self, max_batch: int = 100) -> None:
        self.max_batch = max_batch
        self.metrics: Metrics = {}
        self.committed: list[tuple[int, Event]] = []
        self.segments = 0
        self.batch = 1
        self.open: list[Event] = []
        self.sealed: tuple[int, list[Event]] | None = None

    def ingest(self, organization: bytes, body: bytes, single: bool, now_us: int) -> Answer:
        items, refusal = self.read_body(body, single)
        if refusal is not None:
            return Answer(refusal["status"], (), refusal)
        events: list[Event] = []
        problems = {}
        for index, item in enumerate(items):
            event = read_event(item, organization, now_us, self.metrics)
            if isinstance(event, Event):
                events.append(event)
            else:
                problems[str(index)] = event
        if problems:
            return Answer(422, (), invalid(problems["0"] if single else problems))
        duplicates, wait_for = self.duplicates(events)
        if duplicates:
            taken = {"transaction_id": ["value_already_exist"]}
            details = taken if single else {str(index): taken for index in duplicates}
            return Answer(422, wait_for, invalid(details))
        self.open += events
        rendered = [event.rendered() for event in events]
        answer = {"event": rendered[0]} if single else {"events": rendered}
        return Answer(200, (self.batch,), answer)

    def ingest_partial(self, organization: bytes, body: bytes, now_us: int) -> Answer:
        """Each event for itself, as if it had come alone."""
        items, refusal = self.read_body(body, single=False)
        if refusal is not None:
            return Answer(refusal["status"], (), refusal)
        results: list[dict[str, Any]] = []
        wait_for: set[int] = set()
        for item in items:
            event = read_event(item, organization, now_us, self.metrics)
            result: dict[str, Any] = {"index": Number(str(len(results)))}
            if not isinstance(event, Event):
                result |= {"status": "refused", "error_details": event}
            elif (known := self.duplicates([event]))[0]:
                taken = {"transaction_id": ["value_already_exist"]}
                result |= {"status": "duplicate", "error_details": taken}
                wait_for |= set(known[1])
            else:
                self.open.append(event)
                result |= {"status": "accepted", "event": event.rendered()}
                wait_for.add(self.batch)
            results.append(result)
        statuses = [result["status"] for result in results]
        meta = {
            f"{status}_count": Number(str(statuses.count(status)))
            for status in ("accepted", "duplicate", "refused")
        }
        return Answer(200, tuple(sorted(wait_for)), {"events": results, "meta": meta})

    def read_body(self, body: bytes, single: bool) -> tuple[list[Any], Any]:
        """The items, or no items and the refusal."""
        try:
            root = parse_json(body or b"{}")
            if not isinstance(root, dict):
                raise Malformed
        except Malformed:
            return [], {"status": 400, "error": "Bad Request"}
        if single:
            event = root.get("event")
            if isinstance(event, dict) and event:
                return [event], None
            message = "BadRequest: param is missing or the value is empty or invalid: event"
            return [], {"status": 400, "error": message}
        events = root.get("events")
        if not isinstance(events, list) or not events:
            return [], invalid({"events": ["no_events"]})
        if len(events) > self.max_batch:
            return [], invalid({"events": ["too_many_events"]})
        return events, None

    def duplicates(self, events: list[Event]) -> tuple[list[int], tuple[int, ...]]:
        committed = {event.key() for _, event in self.committed}
        indexes, wait_for, seen = [], set(), set()
        for index, event in enumerate(events):
            key = event.key()
            if key is None:
                continue
            in_flight = {self.batch for other in self.open if other.key() == key}
            if self.sealed and any(other.key() == key for other in self.sealed[1]):
                in_flight.add(self.sealed[0])
            if key in committed or key in seen or in_flight:
                indexes.append(index)
                wait_for |= in_flight
            seen.add(key)
        return indexes, tuple(sorted(wait_for))

    def seal(self) -> None:
        assert self.sealed is None
        self.sealed = self.batch, self.open
        self.open = []
        self.batch += 1

    def confirm(self) -> None:
        assert self.sealed is not None
        events = self.sealed[1]
        if events:
            self.segments += 1
            self.committed += [(self.segments, event) for event in events]
        self.sealed = None

    def rollback(self) -> None:
        assert self.sealed is not None
        self.sealed = None

    def fingerprints(self) -> set[Any]:
        """What makes each committed event that can be repeated the one it is."""
        return {event.key() for _, event in self.committed} - {None}

    def restart(self) -> None:
        """What is not committed is gone; batches count from 1 again."""
        self.open, self.sealed, self.batch = [], None, 1

    def usage(
        self,
        subscription: Subscription,
        from_us: int,
        to_us: int,
        period: tuple[int, int] | None = None,
        keeping: Mapping[bytes, Keep] | None = None,
        day_starts: Sequence[int] = (),
    ) -> list[UsageRow]:
        """(charge, filter, group, units, events count, total if it is not the units, kept) of all buckets and groups.

        keeping: what charges keep beside totals, by id.
        """
        named = [event for _, event in self.committed if subscription.names(event)]
        start, end = subscription.span(from_us, to_us)
        rows = []
        for charge in subscription.charges:
            keep = (keeping or {}).get(charge[0], Keep())
            rows += charge_usage(charge, named, start, end, period, keep, day_starts)
        return rows

    def segments_with(self, organization: bytes, external_id: str) -> set[int]:
        return {
            segment
            for segment, event in self.committed
            if (event.organization, event.external_subscription_id) == (organization, external_id)
        }

    def segments_of(self, organization: bytes) -> list[int]:
        return sorted({s for s, event in self.committed if event.organization == organization})

    def search(
        self,
        organization: bytes,
        *,
        code: str | None = None,
        external_subscription_id: str | None = None,
        transaction_id: str | None = None,
        from_us: int | None = None,
        to_us: int | None = None,
    ) -> list[dict[str, Any]]:
        """Every match, rendered, in answer order."""
        found = [
            event
            for _, event in self.committed
            if event.organization == organization
            and code in (None, event.code)
            and external_subscription_id in (None, event.external_subscription_id)
            and transaction_id in (None, event.transaction_id)
            and (from_us is None or from_us <= event.timestamp_us)
            and (to_us is None or event.timestamp_us <= to_us)
        ]
        found.sort(key=lambda event: (-event.timestamp_us, event.transaction_id.encode()))
        return [event.rendered() for event in found]
