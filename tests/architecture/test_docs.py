"""The pages say what the code says: events, errors, commands, settings, links."""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from architecture.tree import ROOT, code_blocks, files

from lago_engine.cli import cli
from lago_engine.domain.events import EVENT_TYPES
from lago_engine.settings import Settings
from lago_engine.store.upcasters import UPCASTERS

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

# --- events --------------------------------------------------------------------------------------

ROW = re.compile(r"^\| `(?P<tag>[a-z_]+\.v[0-9]+)` \| (?P<fields>[^|]*) \|", re.M)
SECTION = re.compile(r"^### (?P<name>\w+)$(?P<text>.*?)(?=^#|\Z)", re.M | re.S)


def documented_events() -> dict[str, set[str]]:
    page = (DOCS / "events.md").read_text()
    return {
        row["tag"]: set(re.findall(r"`(\w+)`", row["fields"]))
        for row in ROW.finditer(page)
        if row["tag"] != "usage_recorded.v1"
    }


def structs_in(kind: object) -> Iterator[type[msgspec.Struct]]:
    """Every struct that a type hint leads to."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for hint in typing.get_type_hints(kind).values():
            yield from structs_in(hint)
    for argument in typing.get_args(kind):
        yield from structs_in(argument)


def test_every_event_is_documented_with_its_fields() -> None:
    built = {str(t.__struct_config__.tag): set(t.__struct_fields__) for t in EVENT_TYPES}
    old = {tag: fields for tag, fields in documented_events().items() if tag in UPCASTERS}
    assert documented_events() == built | old


def test_every_payload_type_is_documented_with_its_fields() -> None:
    page = (DOCS / "events.md").read_text().partition("## Payload types")[2]
    documented = {
        section["name"]: set(re.findall(r"`(\w+)`", section["text"].strip().splitlines()[-1]))
        for section in SECTION.finditer(page)
    }
    kinds = {kind for event in EVENT_TYPES for kind in structs_in(event)} - set(EVENT_TYPES)
    assert documented == {kind.__name__: set(kind.__struct_fields__) for kind in kinds}


# --- errors --------------------------------------------------------------------------------------

KIND_CONSTANT = re.compile(r'^(?P<name>[A-Z_]+)(?:: Final)? = "(?P<value>[^"]+)"', re.M)


def raised_codes() -> Iterator[tuple[str, Path]]:
    """Codes in calls that refuse: literals, and module constants."""
    constants: dict[str, str] = {}
    paths = list(files("*.py", "lago_engine/api", "lago_engine/domain", "lago_engine/scheduling"))
    for path in paths:
        for constant in KIND_CONSTANT.finditer(path.read_text()):
            if path.name == "validation.py" or constant["name"] not in constants:
                constants[constant["name"]] = constant["value"]
    for path in paths:
        own = {m["name"]: m["value"] for m in KIND_CONSTANT.finditer(path.read_text())}
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                for code in _codes_of(node, constants | own):
                    yield code, path


def _codes_of(call: ast.Call, constants: dict[str, str]) -> Iterator[str]:
    function = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    function = call.func.id if isinstance(call.func, ast.Name) else function
    if function in ("NotAllowed", "Forbidden", "NotFound") and call.args:
        suffix = "_not_found" if function == "NotFound" else ""
        yield from (f"{code}{suffix}" for code in _texts(call.args[0], constants))
    elif function in ("fail", "of") and len(call.args) == 2:
        yield from _texts(call.args[1], constants)
    for keyword in call.keywords:
        if keyword.arg in ("missing", "unknown"):
            yield from _texts(keyword.value, constants)


def _texts(node: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.Name(id=name) if name in constants:
            yield constants[name]
        case ast.IfExp(body=body, orelse=orelse):
            yield from _texts(body, constants)
            yield from _texts(orelse, constants)


def test_every_code_is_documented() -> None:
    page = re.sub(r"```.*?```", "", (DOCS / "errors.md").read_text(), flags=re.S)
    documented = set(re.findall(r"`([^`]+)`", page))
    missing = {f"{code} ({path.name})" for code, path in raised_codes() if code not in documented}
    assert missing == set()


def test_no_documented_code_is_made_up() -> None:
    """Each code of the page occurs in the source, alone or as a resource of `_not_found`."""
    page = (DOCS / "errors.md").read_text().partition("## In the program")[0]
    documented = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page))
    source = "".join(
        path.read_text()
        for kind, folder in (("*.py", "lago_engine"), ("*.rs", "rust_core"))
        for path in files(kind, folder)
    )
    unknown = {
        code
        for code in documented
        if not re.search(rf"\b{code.removesuffix('_not_found')}\b", source)
    }
    assert unknown == set()


# --- commands, settings, links -------------------------------------------------------------------


def commands_in(text: str) -> Iterator[list[str]]:
    """Command lines of the program in code blocks and code spans, as words after its name."""
    lines = [line for _, block in code_blocks(text) for line in block]
    lines += re.findall(r"`(lago-engine [^`\n]*)`", text)
    for line in lines:
        found = re.search(r"(?:^|[ /])lago-engine ((?:[a-z]|-)\S*(?: .*)?)$", line.strip())
        if found:
            yield found[1].split("#")[0].split()


def resolve(words: list[str]) -> None:
    """Walks to the command and checks that it has the options."""
    command: click.Command = cli
    context = click.Context(command)
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.get_command(context, word)
            if found is None:
                continue  # The value of an option of the group.
            command = found
        elif word.startswith("--"):
            options = {name for parameter in command.params for name in parameter.opts}
            assert word.split("=")[0] in options | {"--help", "--version"}, " ".join(words)
    assert command is not cli or words[0] in ("--help", "--version", "-h"), " ".join(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_on_the_page_exist(page: Path) -> None:
    text = page.read_text()
    for words in commands_in(text):
        resolve(words)
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.M)) <= verbs


def test_the_readme_shows_commands_at_all() -> None:
    shown = {words[0] for words in commands_in((ROOT / "README.md").read_text())}
    assert shown >= {"serve", "verify", "replay", "explain"}


def test_every_setting_is_in_the_readme_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", (ROOT / "README.md").read_text(), re.M))
    defaults = {
        field.name: f"`{field.default}`" if field.default is not None else ""
        for field in msgspec.structs.fields(Settings)
    }
    assert {name: rows.get(name) for name in defaults} == defaults


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [t for t in targets if not (page.parent / t).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:lago_engine|rust_core|tests|docs|projections|plugins|benchmarks)/[\w./-]*\w/?)`",
        page.read_text(),
    )
    assert [name for name in named if not (ROOT / name).exists()] == []
