"""One HTTP call to Fakepay, with every failure sorted by what it says about the effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

import aiohttp
import msgspec

from lago_engine.payments import Ctx, Misconfigured, ProviderConfig, ProviderUnavailable, Secret

T = TypeVar("T")


# A pasted line end would make an illegal header.
SecretKey = Annotated[Secret, msgspec.Meta(pattern=r"^\S+\Z")]


class FakepayConfig(ProviderConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A connection. `webhook_secret` comes with `register_webhook`; empty until then."""

    base_url: str
    secret_key: SecretKey
    webhook_secret: Secret = ""
    timeout_s: float = 10.0


class Uncertain(Exception):
    """The call may have been applied: a time-out, a broken connection, a 5xx, an odd answer."""


class Reply(msgspec.Struct, frozen=True):
    """An answer that is certain: 2xx or a refusal (4xx)."""

    status: int
    body: bytes

    def read(self, kind: type[T]) -> T:
        """The body as `kind`; an unreadable one leaves the effect uncertain."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.DecodeError as error:
            raise Uncertain(f"unreadable answer with status {self.status}: {error}") from error


def settings(ctx: Ctx) -> FakepayConfig:
    """The connection's settings, checked to be Fakepay's."""
    if not isinstance(ctx.config, FakepayConfig):
        raise Misconfigured("the connection is not a Fakepay one")
    return ctx.config


async def call(
    http: aiohttp.ClientSession,
    ctx: Ctx,
    verb: str,
    path: str,
    *,
    body: msgspec.Struct | None = None,
    query: Mapping[str, str] | None = None,
) -> Reply:
    """Sends one request; raises `Uncertain`, `ProviderUnavailable` or `Misconfigured`."""
    config = settings(ctx)
    headers = {
        "Authorization": f"Bearer {config.secret_key}",
        "Content-Type": "application/json",
    }
    if verb == "POST":
        headers["Idempotency-Key"] = ctx.idempotency_key
    timeout = aiohttp.ClientTimeout(total=min(config.timeout_s, ctx.deadline_s))
    try:
        async with http.request(
            verb,
            config.base_url.rstrip("/") + path,
            data=None if body is None else msgspec.json.encode(body),
            params=query,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            return _certain(response, await response.read())
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise ProviderUnavailable(f"Fakepay cannot be reached: {error}") from error
    except aiohttp.InvalidURL as error:
        raise Misconfigured("base_url is not a URL") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Uncertain(f"{type(error).__name__}: {error}".removesuffix(": ")) from error


async def look_up(
    http: aiohttp.ClientSession,
    ctx: Ctx,
    path: str,
    kind: type[T],
    *,
    query: Mapping[str, str] | None = None,
) -> T | None:
    """What a GET finds, None for 404. It has no effect: any failure means unavailable."""
    try:
        reply = await call(http, ctx, "GET", path, query=query)
        return None if reply.status == 404 else reply.read(kind)
    except Uncertain as error:
        raise ProviderUnavailable(str(error)) from error


async def create(
    http: aiohttp.ClientSession, ctx: Ctx, path: str, body: msgspec.Struct, kind: type[T]
) -> T:
    """A POST that moves no money: when its effect is uncertain, repeating it is safe."""
    try:
        reply = await call(http, ctx, "POST", path, body=body)
        if reply.status >= 400:
            raise Misconfigured(f"Fakepay refuses {path} with status {reply.status}")
        return reply.read(kind)
    except Uncertain as error:
        raise ProviderUnavailable(str(error)) from error


def _certain(response: aiohttp.ClientResponse, body: bytes) -> Reply:
    status = response.status
    if status in (401, 403):
        raise Misconfigured("Fakepay refuses the secret key")
    if status == 429:
        wait = response.headers.get("Retry-After", "")
        raise ProviderUnavailable(
            "Fakepay limits the rate", retry_after_s=int(wait) if wait.isdecimal() else 1
        )
    # 409 means that a request with this key is being, or was, worked on.
    if status >= 500 or status == 409 or 300 <= status < 400:
        raise Uncertain(f"Fakepay answered {status}")
    return Reply(status, body)
