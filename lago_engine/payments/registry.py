"""Finds payment providers, loads them when first used, and reports the broken ones."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Self

import aiohttp
import msgspec
import structlog

from lago_engine.errors import BadRequest, NotFound, ValidationFailed
from lago_engine.payments.interface import (
    API_VERSION,
    METHODS,
    Misconfigured,
    PaymentProvider,
    ProviderConfig,
)

ENTRY_POINT_GROUP = "lago_engine.payment_providers"

log = structlog.get_logger(__name__)


class ProviderRegistry:
    """Providers by code.

    A class is imported on first use of its code. `failures` and `warnings` map a code to the
    reason, as far as classes were loaded; `load_all` loads every one. `open` makes the HTTP
    session that all providers share, `close` ends it.
    """

    def __init__(
        self,
        points: Iterable[EntryPoint] = (),
        *,
        built_in: Iterable[type[PaymentProvider]] = (),
    ) -> None:
        self.failures: dict[str, str] = {}
        self.warnings: dict[str, str] = {}
        self._points: dict[str, EntryPoint] = {}
        self._classes: dict[str, type[PaymentProvider]] = {}
        self._instances: dict[str, PaymentProvider] = {}
        self._opening = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._add_points(points)
        for provider_class in built_in:
            self._accept(provider_class.code, provider_class)

    @classmethod
    def discover(cls, *, built_in: Iterable[type[PaymentProvider]] = ()) -> Self:
        """A registry of every installed distribution's providers; imports none of them."""
        return cls(entry_points(group=ENTRY_POINT_GROUP), built_in=built_in)

    async def open(self) -> None:
        """Opens the shared session; providers are opened on first `get`."""
        assert self._session is None, "the registry is already open"
        # Connections of different organizations share the session, so it keeps no cookies.
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        """Closes every opened provider, then the session. A closed registry may be reopened."""
        for code, provider in self._instances.items():
            try:
                await provider.close()
            except Exception as error:  # A plugin edge: one bad plugin must not keep others open.
                self._fail(code, f"close failed: {error!r}")
        self._instances.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def codes(self) -> tuple[str, ...]:
        """Codes of all known providers, usable or not, sorted."""
        return tuple(sorted({*self._points, *self._classes, *self.failures}))

    def load_all(self) -> None:
        """Loads every provider, so that `failures` and `warnings` are complete."""
        for code in self.codes():
            self._load(code)

    def provider_class(self, code: str) -> type[PaymentProvider]:
        """The class behind `code`; raises `NotFound`, or `Misconfigured` for a broken plugin."""
        if code not in self.codes():
            raise NotFound("payment_provider")
        self._load(code)
        if code not in self._classes:
            raise Misconfigured(f"payment provider {code} cannot be used: {self.failures[code]}")
        return self._classes[code]

    async def get(self, code: str) -> PaymentProvider:
        """The one opened instance for `code`; raises as `provider_class`."""
        provider_class = self.provider_class(code)
        async with self._opening:
            if code not in self._instances:
                self._instances[code] = await self._opened(code, provider_class)
            return self._instances[code]

    def config(self, code: str, settings: bytes | Mapping[str, Any]) -> ProviderConfig:
        """Decodes a connection's settings (JSON text or plain values) to the provider's `Config`.

        Raises `ValidationFailed` with the offending field, `BadRequest` when it is not JSON.
        """
        config_type = self.provider_class(code).Config
        try:
            if isinstance(settings, bytes):
                return msgspec.json.decode(settings, type=config_type)
            return msgspec.convert(settings, config_type)
        except msgspec.ValidationError as error:
            raise _validation_failed(str(error)) from None
        except msgspec.DecodeError as error:
            raise BadRequest(f"the settings are not JSON: {error}") from None

    def schema(self, code: str) -> dict[str, Any]:
        """JSON schema of the provider's settings; secret fields carry `"secret": true`."""
        return msgspec.json.schema(self.provider_class(code).Config)

    def _add_points(self, points: Iterable[EntryPoint]) -> None:
        claims: dict[str, list[EntryPoint]] = defaultdict(list)
        for point in points:
            claims[point.name].append(point)
        for code, claimants in claims.items():
            if len(claimants) == 1:
                self._points[code] = claimants[0]
            else:  # Guessing could charge through the wrong one.
                values = ", ".join(sorted(point.value for point in claimants))
                self._fail(code, f"more than one provider has this code: {values}")

    def _load(self, code: str) -> None:
        if code in self._classes or code in self.failures:
            return
        try:
            loaded = self._points[code].load()
        except Exception as error:  # A broken plugin must not stop invoicing; it is reported.
            self._fail(code, repr(error))
            return
        self._accept(code, loaded)

    def _accept(self, code: str, loaded: Any) -> None:
        problem = _problem(code, loaded)
        if problem is not None:
            self._fail(code, problem)
            return
        if loaded.api_version[1] > API_VERSION[1]:
            self.warnings[code] = (
                f"written for interface {_dotted(loaded.api_version)}, "
                f"this engine has {_dotted(API_VERSION)}"
            )
            log.warning("payment_provider_newer", code=code, reason=self.warnings[code])
        self._classes[code] = loaded

    async def _opened(self, code: str, provider_class: type[PaymentProvider]) -> PaymentProvider:
        assert self._session is not None, "open the registry first"
        try:
            provider = provider_class()
            await provider.open(self._session)
        except Exception as error:  # A plugin edge: the failure belongs to this provider alone.
            self._fail(code, f"open failed: {error!r}")
            raise Misconfigured(f"payment provider {code} did not open: {error!r}") from error
        self.failures.pop(code, None)
        return provider

    def _fail(self, code: str, reason: str) -> None:
        self.failures[code] = reason
        log.error("payment_provider_broken", code=code, reason=reason)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _problem(code: str, loaded: Any) -> str | None:
    """Why `loaded` cannot serve as the provider `code`, or None."""
    version = getattr(loaded, "api_version", None)
    if not isinstance(loaded, type) or not isinstance(version, tuple) or len(version) != 2:
        return f"{loaded!r} is not a provider class with an api_version (major, minor)"
    if version[0] != API_VERSION[0]:
        return f"written for interface {_dotted(version)}, this engine has {_dotted(API_VERSION)}"
    if getattr(loaded, "code", None) != code:
        return f"its code is {getattr(loaded, 'code', None)!r}, its entry point says {code!r}"
    config_type = getattr(loaded, "Config", None)
    if not isinstance(config_type, type) or not issubclass(config_type, ProviderConfig):
        return "its Config does not derive from ProviderConfig"
    declared = getattr(loaded, "capabilities", None)
    if not isinstance(declared, frozenset) or not declared <= METHODS.keys():
        return "its capabilities are not a frozenset of Capability"
    missing = {name for cap in declared for name in METHODS[cap] if not hasattr(loaded, name)}
    return f"methods are missing: {', '.join(sorted(missing))}" if missing else None


_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]+)`")
_AT_PATH = re.compile(r" - at `\$\.([^`.\[]+)")


def _validation_failed(message: str) -> ValidationFailed:
    """The field and code behind msgspec's message, which never quotes the refused value."""
    if missing := _MISSING.search(message):
        return ValidationFailed.of(missing.group(1), "value_is_mandatory")
    if unknown := _UNKNOWN.search(message):
        return ValidationFailed.of(unknown.group(1), "unsupported_value")
    if at_path := _AT_PATH.search(message):
        return ValidationFailed.of(at_path.group(1), "value_is_invalid")
    return ValidationFailed.of("base", "value_is_invalid")
