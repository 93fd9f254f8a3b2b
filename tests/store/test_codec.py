"""Events to bytes and back, old versions included."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_engine.errors import CorruptionError
from lago_engine.store import Envelope, EventCodec, pack_state, unpack_state


class Tier(msgspec.Struct, frozen=True):
    up_to: int | None
    unit_price: Decimal


class PlanChanged(msgspec.Struct, frozen=True, tag="plan_changed.v3"):
    """In v1 the price was a JSON number under `price`; in v2 it had no currency."""

    plan_code: str
    price: Decimal
    currency: str
    effective_at: datetime
    due: date | None = None
    tiers: tuple[Tier, ...] = ()
    metadata: dict[str, str] = {}


class CustomerCreated(msgspec.Struct, frozen=True, tag="customer_created.v1"):
    customer_id: UUID


def plan_v1(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "plan_changed.v2", {**event, "price": str(event["price"])}


def plan_v2(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "plan_changed.v3", {**event, "currency": "EUR"}


CODEC = EventCodec(
    [PlanChanged, CustomerCreated], {"plan_changed.v1": plan_v1, "plan_changed.v2": plan_v2}
)
ENVELOPE = Envelope(
    recorded_at_us=1_700_000_000_000_001,
    occurred_at_us=-1,
    actor="api_key:é",
    correlation_id="c",
    causation_id="",
    organization_id=UUID(int=5),
)
ENVELOPE_JSON = (
    b'{"recorded_at_us":1700000000000001,"occurred_at_us":-1,"actor":"api_key:\xc3\xa9",'
    b'"correlation_id":"c","causation_id":"",'
    b'"organization_id":"00000000-0000-0000-0000-000000000005"}'
)

# As version 1 of the engine recorded it; never regenerate it.
RECORDED_V1 = (
    b'\x01{"envelope":' + ENVELOPE_JSON + b',"event":{"type":"plan_changed.v1","plan_code":"pro",'
    b'"price":12.10,"effective_at":"2026-01-31T23:00:00Z"}}'
)


def test_the_bytes_of_an_event_are_fixed() -> None:
    event = PlanChanged(
        plan_code="pro",
        price=Decimal("12.10"),
        currency="EUR",
        effective_at=datetime(2026, 1, 31, 23, 0, 0, 1, tzinfo=UTC),
        due=date(2026, 2, 1),
        tiers=(Tier(10, Decimal("1E-7")),),
        metadata={"z": "1", "a": "2"},
    )
    topic, body = CODEC.encode(ENVELOPE, event)
    assert topic == "plan_changed.v3"
    assert body == (
        b'\x01{"envelope":' + ENVELOPE_JSON + b',"event":{"type":"plan_changed.v3",'
        b'"plan_code":"pro","price":"12.10","currency":"EUR",'
        b'"effective_at":"2026-01-31T23:00:00.000001Z","due":"2026-02-01",'
        b'"tiers":[{"up_to":10,"unit_price":"1E-7"}],"metadata":{"z":"1","a":"2"}}}'
    )
    envelope, decoded = CODEC.decode(topic, body)
    assert (envelope, decoded) == (ENVELOPE, event)
    assert str(decoded.price) == "12.10"
    assert list(decoded.metadata) == ["z", "a"]


@given(
    price=st.decimals(allow_nan=False, allow_infinity=False),
    at=st.datetimes(timezones=st.just(UTC)),
    metadata=st.dictionaries(st.text(), st.text(), max_size=3),
)
def test_what_is_encoded_is_decoded(price: Decimal, at: datetime, metadata: dict[str, str]) -> None:
    event = PlanChanged("p", price, "EUR", at, metadata=metadata)
    topic, body = CODEC.encode(ENVELOPE, event)
    decoded = CODEC.decode(topic, body)
    assert decoded == (ENVELOPE, event)
    assert decoded[1].price.as_tuple() == price.as_tuple()
    assert CODEC.encode(*decoded) == (topic, body)


def test_an_old_version_is_lifted_step_by_step_and_stays_exact() -> None:
    envelope, event = CODEC.decode("plan_changed.v1", RECORDED_V1)
    assert envelope == ENVELOPE
    assert event == PlanChanged(
        "pro", Decimal("12.10"), "EUR", datetime(2026, 1, 31, 23, tzinfo=UTC)
    )
    assert str(event.price) == "12.10"


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        ("never_heard_of.v1", RECORDED_V1.replace(b"plan_changed.v1", b"never_heard_of.v1")),
        ("plan_changed.v2", RECORDED_V1),
        ("plan_changed.v3", RECORDED_V1),
        ("customer_created.v1", CODEC.encode(ENVELOPE, CustomerCreated(UUID(int=1)))[1][:-1]),
        ("plan_changed.v3", CODEC.encode(ENVELOPE, CustomerCreated(UUID(int=1)))[1]),
        ("plan_changed.v1", b"\x02" + RECORDED_V1[1:]),
        ("plan_changed.v1", b""),
        ("plan_changed.v1", b"\x01[]"),
        ("plan_changed.v1", b'\x01{"event":3}'),
    ],
)
def test_what_cannot_be_read_is_corruption(topic: str, body: bytes) -> None:
    with pytest.raises(CorruptionError, match=topic):
        CODEC.decode(topic, body)


def test_upcasters_that_lead_nowhere_are_corruption() -> None:
    circle = {"a.v1": lambda e: ("b.v1", e), "b.v1": lambda e: ("a.v1", e)}
    body = b'\x01{"envelope":{},"event":{"type":"a.v1"}}'
    with pytest.raises(CorruptionError, match="circle"):
        EventCodec([CustomerCreated], circle).decode("a.v1", body)
    with pytest.raises(CorruptionError, match=r"unknown topic b\.v1"):
        EventCodec([CustomerCreated], {"a.v1": circle["a.v1"]}).decode("a.v1", body)


def test_a_codec_of_types_it_cannot_name_is_refused() -> None:
    with pytest.raises(TypeError, match="Tier needs a string tag"):
        EventCodec([Tier], {})
    with pytest.raises(TypeError, match="current topics"):
        EventCodec([CustomerCreated], {"customer_created.v1": plan_v1})
    twin = msgspec.defstruct("Twin", [], tag="customer_created.v1")
    with pytest.raises(TypeError, match="two types have the topic"):
        EventCodec([CustomerCreated, twin], {})


def test_a_state_is_the_chain_hash_and_the_body() -> None:
    assert unpack_state(pack_state(b"h" * 32, b"body")) == (b"h" * 32, b"body")
    with pytest.raises(CorruptionError):
        unpack_state(b"h" * 32)
