"""The built wheels: what is inside, and that they work in a clean environment.

Not collected by a plain `pytest`, which has nothing built; run by `make packaging`.
"""

from __future__ import annotations

import json
import subprocess
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest
from architecture.tree import ROOT
from packaging_kit import program, server

DIST = ROOT / "dist"
pytestmark = pytest.mark.timeout(300)


def wheel(name: str) -> Path:
    found = list(DIST.glob(f"{name}-*.whl"))
    assert len(found) == 1, f"make wheel gives one {name}: {found}"
    return found[0]


def members() -> list[str]:
    """Distribution names of the folders that are built, as in file names."""
    plugins = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))
    return ["lago_engine", "lago_projections", *(name.replace("-", "_") for name in plugins)]


@pytest.mark.parametrize("name", members())
def test_a_wheel_has_one_package(name: str) -> None:
    with ZipFile(wheel(name)) as archive:
        top = {Path(entry).parts[0] for entry in archive.namelist()}
        entries = set(archive.namelist())
    assert top == {name, f"{name}-0.1.0.dist-info"}
    assert f"{name}/py.typed" in entries
    assert not [entry for entry in entries if "/tests/" in entry or "__pycache__" in entry]


def test_the_engine_carries_its_core_stub_and_template() -> None:
    with ZipFile(wheel("lago_engine")) as archive:
        entries = set(archive.namelist())
        metadata = archive.read("lago_engine-0.1.0.dist-info/WHEEL").decode()
    assert {
        f"lago_engine/{name}" for name in ("_core.pyi", "_core.abi3.so", "documents/document.typ")
    } <= entries
    assert any(entry.endswith("licenses/LICENSE") for entry in entries)
    assert "Tag: cp311-abi3-" in metadata


@pytest.fixture(scope="module")
def clean_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with all wheels, and the demo's client."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    engine = f"lago-engine[demo] @ {wheel('lago_engine').as_uri()}"
    others = [str(wheel(name)) for name in members() if name != "lago_engine"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", engine, *others], check=True)
    return python


def test_everything_is_found(clean_python: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [program(clean_python), "check", "--json"], cwd=tmp_path, capture_output=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["missing_document_kinds"] == []
    assert found["failures"] == {}
    assert {"manual", "simulated", "fakepay"} <= set(found["payment_providers"])


def test_the_core_is_optimized(clean_python: Path, tmp_path: Path) -> None:
    code = "from lago_engine import _core; print(_core.BUILD_PROFILE, _core.__file__)"
    done = subprocess.run(
        [clean_python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    profile, path = done.stdout.split()
    assert profile == "release"
    assert Path(path).is_relative_to(clean_python.parent.parent)


def test_it_serves_and_proves(clean_python: Path, tmp_path: Path) -> None:
    with server(tmp_path / "store", executable=program(clean_python)):
        pass
    done = subprocess.run(
        [program(clean_python), "demo", "--once", "--json"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["identical"] is True


def test_assertions_cannot_be_switched_off(clean_python: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['lago-engine', 'check']; from lago_engine.cli import main; main()"
    )
    done = subprocess.run(
        [clean_python, "-O", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "without assertions" in done.stderr
