"""Finding, refusing and configuring providers, with real distributions on the path."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import aiohttp
import pytest

from lago_engine.errors import BadRequest, NotFound, ValidationFailed
from lago_engine.payments import (
    ENTRY_POINT_GROUP,
    MASK,
    BaseProvider,
    Misconfigured,
    ProviderConfig,
    ProviderRegistry,
    Secret,
    secret_fields,
)
from lago_engine.payments.manual import ManualProvider
from lago_engine.payments.simulated import SimulatedProvider

Install = Callable[..., None]

GOOD = """
from lago_engine.payments import BaseProvider, ProviderConfig, Secret

class Config(ProviderConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str
    api_key: Secret
    retries: int = 3

class Provider(BaseProvider):
    api_version = {version}
    code = "{code}"
    Config = Config
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Lays a distribution with one provider on the path, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def lay(
        name: str, code: str, source: str | None = None, *, version: tuple[int, int] = (1, 0)
    ) -> None:
        module = f"registry_test_{name}"
        text = GOOD.format(version=version, code=code) if source is None else source
        (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            f"[{ENTRY_POINT_GROUP}]\n{code} = {module}:Provider\n"
        )
        monkeypatch.delitem(sys.modules, module, raising=False)

    return lay


def found() -> ProviderRegistry:
    """The providers of this test only; the environment may have others installed."""
    points = entry_points(group=ENTRY_POINT_GROUP)
    return ProviderRegistry(point for point in points if "registry_test_" in point.value)


def test_discovery_sees_installed_providers_without_importing_them(install: Install) -> None:
    install("lazy", "lazypay")
    registry = ProviderRegistry.discover(built_in=[SimulatedProvider])
    assert {"lazypay", "simulated"} <= set(registry.codes())
    assert "registry_test_lazy" not in sys.modules
    assert registry.provider_class("lazypay").code == "lazypay"
    assert "registry_test_lazy" in sys.modules


async def test_one_opened_instance_per_code(install: Install) -> None:
    install("one", "onepay")
    async with found() as registry:
        first = await registry.get("onepay")
        assert await registry.get("onepay") is first
    async with registry:
        assert await registry.get("onepay") is not first


class Tracking(BaseProvider):
    """Keeps what it was given."""

    api_version = (1, 0)
    code = "tracking"
    http: aiohttp.ClientSession
    closed = False

    async def open(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def close(self) -> None:
        assert not self.http.closed, "providers close before the session they use"
        self.closed = True


async def test_closing_ends_providers_and_then_the_session() -> None:
    registry = ProviderRegistry(built_in=[Tracking, ManualProvider])
    await registry.open()
    provider = await registry.get("tracking")
    assert isinstance(provider, Tracking)
    await registry.close()
    assert provider.closed
    assert provider.http.closed
    assert registry.failures == {}


def test_an_unknown_code_is_not_found() -> None:
    with pytest.raises(NotFound) as caught:
        ProviderRegistry().provider_class("nopay")
    assert caught.value.code == "payment_provider_not_found"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import module_that_does_not_exist", "ModuleNotFoundError"),
        ("raise RuntimeError('at import')", "RuntimeError('at import')"),
        ("Other = 1", "AttributeError"),
        ("Provider = 1", "not a provider class"),
        ("class Provider: pass", "not a provider class"),
        (GOOD.format(version=(1, 0), code="otherpay"), "its code is 'otherpay'"),
        (GOOD.format(version=(2, 0), code="badpay"), "interface 2.0, this engine has 1.0"),
        (GOOD.format(version=(0, 9), code="badpay"), "interface 0.9, this engine has 1.0"),
        (GOOD.format(version=(1, 0), code="badpay") + "    Config = dict\n", "Config"),
        (GOOD.format(version=(1, 0), code="badpay") + "    capabilities = []\n", "capabilities"),
        (
            GOOD.format(version=(1, 0), code="badpay").replace("(BaseProvider)", "")
            + "    from lago_engine.payments import Capability\n"
            + "    capabilities = frozenset({Capability.FETCH})\n",
            "methods are missing: fetch",
        ),
    ],
)
async def test_a_broken_plugin_is_reported_and_harms_nobody(
    install: Install, source: str, reason: str
) -> None:
    install("broken", "badpay", source)
    install("healthy", "goodpay")
    async with found() as registry:
        registry.load_all()
        assert set(registry.failures) == {"badpay"}
        assert reason in registry.failures["badpay"]
        assert registry.codes() == ("badpay", "goodpay")
        with pytest.raises(Misconfigured, match="badpay cannot be used"):
            await registry.get("badpay")
        assert (await registry.get("goodpay")).code == "goodpay"


def test_a_newer_minor_version_is_used_with_a_warning(install: Install) -> None:
    install("newer", "newpay", version=(1, 7))
    registry = found()
    assert registry.provider_class("newpay").code == "newpay"
    assert registry.failures == {}
    assert "1.7" in registry.warnings["newpay"]


def test_two_claims_on_one_code_are_refused(install: Install) -> None:
    install("claim_a", "samepay")
    install("claim_b", "samepay")
    registry = found()
    assert "registry_test_claim_a:Provider" in registry.failures["samepay"]
    assert "registry_test_claim_b:Provider" in registry.failures["samepay"]
    with pytest.raises(Misconfigured):
        registry.provider_class("samepay")


async def test_a_provider_that_cannot_open_may_open_later(install: Install) -> None:
    source = GOOD.format(version=(1, 0), code="latepay") + (
        "    tries = 0\n"
        "    async def open(self, http):\n"
        "        Provider.tries += 1\n"
        "        if Provider.tries == 1: raise OSError('no network')\n"
    )
    install("late", "latepay", source)
    async with found() as registry:
        with pytest.raises(Misconfigured, match="did not open"):
            await registry.get("latepay")
        assert "no network" in registry.failures["latepay"]
        await registry.get("latepay")
        assert registry.failures == {}


# ---- settings -----------------------------------------------------------------------------
def test_settings_become_the_typed_config(install: Install) -> None:
    install("typed", "typedpay")
    registry = found()
    config = registry.config("typedpay", b'{"url":"http://x","api_key":"k1"}')
    assert config == registry.config("typedpay", {"url": "http://x", "api_key": "k1"})
    assert config.masked() == {"url": "http://x", "api_key": MASK, "retries": 3}
    assert "k1" not in repr(config)
    properties = registry.schema("typedpay")["$defs"]["Config"]["properties"]
    assert properties["api_key"]["secret"] is True
    assert "secret" not in properties["url"]


@pytest.mark.parametrize(
    ("settings", "details"),
    [
        (b'{"api_key":"k1"}', {"url": ["value_is_mandatory"]}),
        (b'{"url":"http://x","api_key":7}', {"api_key": ["value_is_invalid"]}),
        (b'{"url":"u","api_key":"k","retries":"many"}', {"retries": ["value_is_invalid"]}),
        (b'{"url":"u","api_key":"k","colour":1}', {"colour": ["unsupported_value"]}),
        (b"[]", {"base": ["value_is_invalid"]}),
    ],
)
def test_wrong_settings_name_the_field(
    install: Install, settings: bytes, details: dict[str, list[str]]
) -> None:
    install("wrong", "wrongpay")
    with pytest.raises(ValidationFailed) as caught:
        found().config("wrongpay", settings)
    assert caught.value.details == details


def test_settings_that_are_no_json_are_a_bad_request(install: Install) -> None:
    install("nojson", "nojsonpay")
    with pytest.raises(BadRequest):
        found().config("nojsonpay", b"{")


class Mixed(ProviderConfig, frozen=True, kw_only=True):
    """Secrets in every form a field may take."""

    plain: str = "visible"
    sure: Secret = "hidden-1"
    maybe: Secret | None = None
    empty: Secret = ""


def test_secrets_are_masked_when_present() -> None:
    assert secret_fields(Mixed) == {"sure", "maybe", "empty"}
    assert Mixed().masked() == {"plain": "visible", "sure": MASK, "maybe": None, "empty": ""}
    assert Mixed(maybe="hidden-2").masked()["maybe"] == MASK
    assert "hidden" not in repr(Mixed(maybe="hidden-2"))
    assert str(Mixed()) == repr(Mixed())
