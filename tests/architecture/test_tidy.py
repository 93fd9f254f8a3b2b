"""What must hold everywhere in the tree and no other tool checks."""

from __future__ import annotations

import pytest
from architecture.tree import ROOT, files, hits, imports

from lago_engine.payments import Capability
from lago_engine.payments.interface import METHODS


def test_the_domain_takes_time_chance_and_settings_as_arguments() -> None:
    banned = r"datetime\.now|utcnow|time\.time|uuid4|os\.environ|\bfloat\("
    assert hits(banned, files("*.py", "lago_engine/domain")) == []


def test_only_metering_imports_the_core() -> None:
    importers = {
        path.relative_to(ROOT).parts[1]
        for path in files("*.py", "lago_engine")
        if any(name.startswith("lago_engine._core") for name in imports(path))
    }
    assert importers == {"metering"}


def test_the_core_has_no_binary_floats() -> None:
    assert hits(r"\bf(32|64)\b", files("*.rs", "rust_core")) == []


def test_only_the_settings_read_the_environment() -> None:
    readers = hits(r"os\.(environ|getenv)", files("*.py", "lago_engine", "projections", "plugins"))
    assert {line.split(":")[0] for line in readers} == {"lago_engine/settings.py"}


@pytest.mark.parametrize(
    "plugin", sorted(p.name for p in (ROOT / "plugins").iterdir() if p.is_dir())
)
def test_a_plugin_sees_the_provider_interface_only(plugin: str) -> None:
    """In its tests it may use the kit too."""
    allowed = ("lago_engine.payments", "lago_engine.testing")
    package = plugin.replace("-", "_")
    strangers = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files("*.py", f"plugins/{plugin}")
        for name in imports(path)
        if name.startswith(("lago_engine.", "lago_projections"))
        and not any(name == door or name.startswith(f"{door}.") for door in allowed)
    }
    assert strangers == set()
    assert (ROOT / "plugins" / plugin / package / "__init__.py").exists()
    assert not (ROOT / "plugins" / "__init__.py").exists()


def test_every_capability_and_method_of_a_provider_is_documented() -> None:
    page = (ROOT / "docs/plugins.md").read_text()
    names = {str(capability) for capability in Capability}
    names |= {method for methods in METHODS.values() for method in methods}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_no_path_of_a_developers_machine() -> None:
    machines = "|".join(("/wo" + "rk/", "/ho" + "me/[a-z]", "/Us" + "ers/[a-z]", "/ro" + "ot/"))
    paths = (path for kind in ("py", "rs", "md", "toml", "typ") for path in files(f"*.{kind}"))
    assert hits(machines, paths) == []


def test_a_debt_has_a_number() -> None:
    debt = r"\b(TO" + r"DO|FIX" + r"ME)\b(?!\(#\d+\))"
    assert [*hits(debt, files("*.py")), *hits(debt, files("*.rs"))] == []
