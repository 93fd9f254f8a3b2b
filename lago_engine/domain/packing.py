"""Structs in few bytes."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec

T = TypeVar("T")

_JSON_STARTS: Final = b"[{"
"""MessagePack never begins an array or a map with these."""


class Packer(Generic[T]):
    """MessagePack; JSON for a value with an integer beyond 64 bits, which MessagePack has not."""

    def __init__(self, kind: type[T]) -> None:
        self._pack = msgspec.msgpack.Encoder(uuid_format="bytes").encode
        self._unpack = msgspec.msgpack.Decoder(kind).decode
        self._read = msgspec.json.Decoder(kind).decode

    def packed(self, value: T) -> bytes:
        try:
            return self._pack(value)
        except OverflowError:
            return msgspec.json.encode(value)

    def unpacked(self, body: bytes) -> T:
        return self._read(body) if body[:1] in _JSON_STARTS else self._unpack(body)
