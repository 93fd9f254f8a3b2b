"""Events to bytes and back: stable topics, a format byte, old versions lifted to the current one.

A stored state is the hash of the stream's chain (32 bytes) followed by the body; a body is the
format byte followed by JSON. Members keep the order in which the structs declare them and dicts the
order in which they were filled, so the same event always gives the same bytes.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from lago_engine.errors import CorruptionError

FORMAT = b"\x01"
HASH_BYTES = 32

E = TypeVar("E")

Upcaster = Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]
"""From the fields of an old version to the topic and the fields of a newer one."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of every event apart from what happened. Instants are µs since 1970 UTC."""

    recorded_at_us: int
    occurred_at_us: int
    actor: str
    correlation_id: str
    causation_id: str
    organization_id: UUID


class Record(msgspec.Struct, Generic[E], frozen=True):
    """The JSON of a body."""

    envelope: Envelope
    event: E


class EventCodec:
    """Encodes events of the given types; decodes these and every older version with an upcaster.

    Types are structs with a string tag, which is the topic ("plan_changed.v1"). `upcasters` is
    keyed by the old topic; a chain of them ends at a current type. They see decoded JSON, with
    numbers that have a fraction as `Decimal`.
    """

    def __init__(
        self, event_types: Iterable[type[msgspec.Struct]], upcasters: Mapping[str, Upcaster]
    ) -> None:
        types: dict[str, type[msgspec.Struct]] = {}
        for event_type in event_types:
            if types.setdefault(topic_of(event_type), event_type) is not event_type:
                raise TypeError(f"two types have the topic {topic_of(event_type)}")
        assert types, "a codec needs an event type"
        stale = sorted(types.keys() & upcasters.keys())
        if stale:
            raise TypeError(f"current topics cannot have upcasters: {stale}")
        self._types = types
        self._upcasters = dict(upcasters)
        self._encoder = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical")
        union = functools.reduce(operator.or_, types.values())
        self._decoder: msgspec.json.Decoder[Record[Any]] = msgspec.json.Decoder(Record[union])  # type: ignore[valid-type]
        self._plain = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

    def encode(self, envelope: Envelope, event: msgspec.Struct) -> tuple[str, bytes]:
        """(topic, body). The type of the event must be one of the codec's."""
        topic = topic_of(type(event))
        assert self._types.get(topic) is type(event), topic
        return topic, FORMAT + self._encoder.encode(Record(envelope, event))

    def decode(self, topic: str, body: bytes) -> tuple[Envelope, Any]:
        """The envelope and the event in its current version. Raises `CorruptionError`."""
        if body[:1] != FORMAT:
            raise CorruptionError(f"{topic}: unknown format {body[:1]!r}")
        text = memoryview(body)[1:]
        try:
            if topic not in self._types:
                topic, text = self._upcast(topic, text)
            record = self._decoder.decode(text)
        except msgspec.MsgspecError as error:
            raise CorruptionError(f"{topic}: {error}") from error
        if type(record.event) is not self._types[topic]:
            raise CorruptionError(f"{topic}: the body is a {topic_of(type(record.event))}")
        return record.envelope, record.event

    def _upcast(self, topic: str, text: memoryview) -> tuple[str, memoryview]:
        record = self._plain.decode(text)
        fields = record.get("event")
        if not isinstance(fields, dict) or fields.pop("type", None) != topic:
            raise CorruptionError(f"{topic}: the body is of another type")
        seen = [topic]
        while topic not in self._types:
            upcaster = self._upcasters.get(topic)
            if upcaster is None:
                raise CorruptionError(f"unknown topic {topic} (from {seen[0]})")
            topic, fields = upcaster(fields)
            if topic in seen:
                raise CorruptionError(f"the upcasters of {seen[0]} run in a circle")
            seen.append(topic)
        record["event"] = {"type": topic, **fields}
        return topic, memoryview(self._encoder.encode(record))


def topic_of(event_type: type[msgspec.Struct]) -> str:
    """The topic of an event type: its tag."""
    config = event_type.__struct_config__
    if not isinstance(config.tag, str) or config.tag_field != "type":
        raise TypeError(f"{event_type.__name__} needs a string tag in the field 'type'")
    return config.tag


def pack_state(chain_hash: bytes, body: bytes) -> bytes:
    """The state of a stored event."""
    assert len(chain_hash) == HASH_BYTES
    return chain_hash + body


def unpack_state(state: bytes) -> tuple[bytes, bytes]:
    """(chain hash, body) of a stored event. Raises `CorruptionError`."""
    if len(state) <= HASH_BYTES:
        raise CorruptionError(f"a stored state of {len(state)} bytes is too short")
    return state[:HASH_BYTES], state[HASH_BYTES:]
