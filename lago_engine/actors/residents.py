"""States in memory: every organization, and the customers in use; the rest is on disk.

A customer leaves memory when it is the least recently used one of too many (passivation). Its state is then
saved with the next commit, so that waking it needs few events.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.evolve import evolve_customer
from lago_engine.domain.customer.state import CustomerState
from lago_engine.domain.packing import Packer
from lago_engine.store.codec import EventCodec, unpack_state
from lago_engine.store.port import Store

SNAPSHOT_EVERY: Final = 32
"""Facts after which a leaving customer is worth saving; reading fewer costs less than a write."""


class Resident(msgspec.Struct, frozen=True):
    """A customer in memory at a stream version; `saved_version` is that of its newest snapshot."""

    state: CustomerState | None
    version: int
    saved_version: int


class _Saved(msgspec.Struct, frozen=True):
    schema: str
    version: int
    state: CustomerState


_SCHEMA: Final = sha256(
    msgspec.json.encode(msgspec.json.schema(CustomerState), order="deterministic")
).hexdigest()
_packer = Packer(_Saved)


class Residents:
    """Committed states of one partition. `customers_max` bounds how many stay in memory."""

    def __init__(self, store: Store, codec: EventCodec, *, customers_max: int) -> None:
        self.organizations: dict[UUID, OrganizationState] = {}
        self.outbox_sequences: dict[UUID, int] = {}
        self._store = store
        self._codec = codec
        self._customers_max = customers_max
        self._customers: OrderedDict[UUID, Resident] = OrderedDict()
        self._leaving: dict[UUID, Resident] = {}

    def __len__(self) -> int:
        return len(self._customers)

    def __contains__(self, customer_id: UUID) -> bool:
        return customer_id in self._customers

    def get(self, customer_id: UUID) -> Resident:
        """A customer that is in memory."""
        self._customers.move_to_end(customer_id)
        return self._customers[customer_id]

    def put(self, customer_id: UUID, resident: Resident) -> None:
        """Keep a customer."""
        self._customers[customer_id] = resident
        self._customers.move_to_end(customer_id)

    def shrink(self) -> None:
        """Let the least recently used customers leave while there are too many.

        Not during a tick, whose commands rely on their customers being here.
        """
        while len(self._customers) > self._customers_max:
            left, old = self._customers.popitem(last=False)
            if old.state is not None and old.version - old.saved_version >= SNAPSHOT_EVERY:
                self._leaving[left] = old

    def take_snapshots(self) -> dict[str, bytes]:
        """Saved states of customers that left memory, for the next commit."""
        saved = {_key(customer_id): _save(old) for customer_id, old in self._leaving.items()}
        self._leaving = {}
        return saved

    def load_outbox_sequences(self) -> None:
        """The number of every organization's last webhook, as committed."""
        for organization_id in self.organizations:
            known = self._store.meta_get(outbox_sequence_key(organization_id))
            self.outbox_sequences[organization_id] = int(known) if known is not None else 0

    def load(self, customer_id: UUID) -> Resident:
        """A customer from disk: its newest snapshot and the facts after it. Blocks; any thread."""
        state, saved_version = self._saved(customer_id)
        version = saved_version
        for row in self._store.read_stream(customer_id, after_version=saved_version):
            _, body = unpack_state(row.state)
            _, event = self._codec.decode(row.topic, body)
            state = evolve_customer(state, event)
            version = row.version
        return Resident(state, version, saved_version)

    def _saved(self, customer_id: UUID) -> tuple[CustomerState | None, int]:
        raw = self._store.meta_get(_key(customer_id))
        if raw is None:
            return None, 0
        try:
            saved = _packer.unpacked(raw)
        except msgspec.ValidationError:
            return None, 0  # Of another shape of the state: the events are the authority.
        return (saved.state, saved.version) if saved.schema == _SCHEMA else (None, 0)


def outbox_sequence_key(organization_id: UUID) -> str:
    """Where a commit keeps the number of an organization's last webhook."""
    return f"outbox:{organization_id.hex}"


def _key(customer_id: UUID) -> str:
    return f"state:{customer_id.hex}"


def _save(resident: Resident) -> bytes:
    assert resident.state is not None
    return _packer.packed(_Saved(_SCHEMA, resident.version, resident.state))
