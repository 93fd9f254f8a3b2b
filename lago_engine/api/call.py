"""One request of an organization: who asks, what it sent, what it may read and change."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

from aiohttp import web
from msgspec.structs import replace

from lago_engine.api import bodies
from lago_engine.api.answers import json_bytes, object_answer
from lago_engine.api.auth import presented_key
from lago_engine.api.engine import Engine
from lago_engine.api.filters import owned_by
from lago_engine.api.params import Params, meta
from lago_engine.api.settings import ApiSettings
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.commands import BookingCommand, CustomerCommand, OrganizationCommand
from lago_engine.domain.customer.booking import booked_ids
from lago_engine.domain.events import DomainEvent
from lago_engine.errors import NotFound
from lago_engine.payments import ProviderRegistry
from lago_engine.projecting.presenting import present
from lago_engine.projecting.wire import Members, encode, without
from lago_engine.store.query import AnyOf, Direction, Filter, Query

ENGINE: web.AppKey[Engine] = web.AppKey("ENGINE")
SETTINGS = web.AppKey("SETTINGS", ApiSettings)
READERS: web.AppKey[Executor] = web.AppKey("READERS")
"""Threads that wait for the database, so that the event loop does not."""

PROVIDERS = web.AppKey("PROVIDERS", ProviderRegistry)

IDEMPOTENCY_KEY = "Idempotency-Key"

Order = tuple[tuple[str, Direction], ...]
Filters = Iterable[Filter | AnyOf]

NEWEST_FIRST: Order = (("sort_key", "desc"), ("position", "desc"))
"""By creation, latest first; of the same instant the one stored later (test_clocks §7)."""

BY_SORT_KEY: Order = (("sort_key", "asc"), ("created_at", "desc"), ("position", "desc"))
"""By the name or address a kind is sorted by, then latest first."""

E = TypeVar("E", bound=DomainEvent)
T = TypeVar("T")


def authorize(request: web.Request) -> tuple[UUID, str]:
    """The organization whose key the request presents, and the key. Raises HTTPUnauthorized."""
    key = presented_key(request.headers.get("Authorization"))
    organization_id = None if key is None else request.app[ENGINE].authenticate(key)
    if key is None or organization_id is None:
        raise web.HTTPUnauthorized
    return organization_id, key


async def read(request: web.Request, function: Callable[..., T], *args: object) -> T:
    """Call a function of the store on a reader thread."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(request.app[READERS], function, *args)


class Call:
    """An authenticated request."""

    def __init__(self, request: web.Request) -> None:
        """Raises HTTPUnauthorized."""
        self.request = request
        self.engine = request.app[ENGINE]
        self.settings = request.app[SETTINGS]
        self.organization_id, key = authorize(request)
        self._actor = f"api_key:{key[-4:]}"
        self.params = Params(request.query)

    # --- what it sent --------------------------------------------------------------------------

    def path(self, name: str) -> str:
        """A part of the path; what no stored key can hold becomes text that no key equals."""
        return self.request.match_info[name].replace("\0", "")

    def uuid(self, name: str, resource: str) -> UUID:
        """An id in the path; a malformed one is the same as an unknown one. Raises NotFound."""
        return parse_uuid(self.path(name), resource)

    async def body(self) -> dict[str, Any]:
        """The body as a JSON object, which may be missing or empty. Raises BadRequest."""
        return bodies.decode_object(await bodies.read_body(self.request))

    async def input(self, wrapper: str) -> dict[str, Any]:
        """The object under the wrapper key. Raises BadRequest."""
        return bodies.unwrap(await self.body(), wrapper)

    # --- what it changes -----------------------------------------------------------------------

    @property
    def organization(self) -> OrganizationState:
        """Settings and catalog as they are now."""
        return self.engine.organization(self.organization_id)

    @property
    def is_test(self) -> bool:
        """Whether the organization has a virtual clock."""
        return self.organization.organization.test

    @property
    def now(self) -> datetime:
        return self.engine.now(self.organization_id)

    async def execute(
        self, command: OrganizationCommand | CustomerCommand
    ) -> Sequence[DomainEvent]:
        """Run a command; for a test organization also everything it sets off."""
        events = await self.engine.execute(command, actor=self._actor)
        if self.is_test:
            await self.engine.settle(self.organization_id)
        return events

    async def book(self, command: BookingCommand) -> Sequence[UUID]:
        """Run a command that books money, once for one `Idempotency-Key`; the ids of what it was asked for.

        A repetition books nothing and is answered with what the first one booked.
        """
        key = self.request.headers.get(IDEMPOTENCY_KEY)
        if not key:
            return booked_ids(command, await self.execute(command))
        sent = self.request.path.encode() + b"\0" + await bodies.read_body(self.request)
        keyed = replace(command, idempotency_key=key, fingerprint=sha256(sent).hexdigest())
        events = await self.execute(keyed)
        if events:
            return booked_ids(command, events)
        return await self.engine.booked(command.customer_id, key)

    # --- what it reads -------------------------------------------------------------------------

    async def read(self, function: Callable[..., T], *args: object) -> T:
        """Call a function of the store on a reader thread."""
        return await read(self.request, function, *args)

    async def stored(self, kind: str, key: str) -> bytes:
        """A document as stored. Raises NotFound, named after the kind."""
        documents = self.engine.store.documents
        body = await self.read(documents.get, self.organization_id, kind, key)
        if body is None:
            raise NotFound(kind)
        return body

    async def page(self, kind: str, query: Query) -> tuple[list[bytes], int]:
        """The stored documents that a query selects, and how many there are in all."""
        documents = self.engine.store.documents
        return await self.read(documents.list, self.organization_id, kind, query)

    def present(self, kind: str, body: bytes) -> Members:
        """A stored document as clients see it now."""
        return present(kind, body, self.organization, self.now)

    async def answer(self, kind: str, key: str, *, omit: tuple[str, ...] = ()) -> web.Response:
        """One document under the name of its kind, without the sections in `omit`."""
        body = await self.stored(kind, key)
        return object_answer(kind, without(self.present(kind, body), *omit))

    async def answer_list(
        self,
        kind: str,
        plural: str,
        *,
        filters: Filters = (),
        parent: str | None = None,
        order: Order = NEWEST_FIRST,
        omit: tuple[str, ...] = (),
        show: Callable[[bytes], Members] | None = None,
    ) -> web.Response:
        """The requested page of a list; each item without the sections in `omit`.

        parent: whose documents are listed, for most kinds the external id of a customer. show: how a stored document looks in the list, where `present` is not it.
        """
        page, documents = self.params.page, self.engine.store.documents
        owned = () if parent is None else owned_by(kind, parent, self.organization)
        query = Query(
            filters=(*filters, *owned),
            parent=parent,
            order=order,
            offset=page.offset,
            limit=page.size,
        )
        shown = show or partial(present, kind, organization=self.organization, now=self.now)

        def listed() -> bytes:
            bodies, total = documents.list(self.organization_id, kind, query)
            items = [without(shown(body), *omit) for body in bodies]
            return encode({plural: items, "meta": meta(page, total)})

        # A page may hold a thousand documents: they are worked on where nobody else waits.
        return json_bytes(await self.read(listed))


def new_uuid() -> UUID:
    """A random id or key: decisions are not random, so it is made here."""
    return UUID(bytes=secrets.token_bytes(16), version=4)


def parse_uuid(text: str, resource: str) -> UUID:
    """An id in its canonical form of 36 characters. Raises NotFound of the resource otherwise."""
    try:
        value = UUID(text)
    except ValueError:
        raise NotFound(resource) from None
    if str(value) != text.lower():
        raise NotFound(resource)
    return value


def event_of(events: Sequence[DomainEvent], kind: type[E]) -> E | None:
    """The first event of a kind among those a command made happen."""
    return next((event for event in events if isinstance(event, kind)), None)
