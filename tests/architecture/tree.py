"""What the checks of the tree look at."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {
    ".git", ".hypothesis", ".import_linter_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache",
    ".venv", "__pycache__", "dist", "results", "target",
}  # fmt: skip


def files(pattern: str, *folders: str) -> Iterator[Path]:
    """Files of the tree whose name matches, below the folders (default: everywhere)."""
    for folder in folders or (".",):
        for path in sorted((ROOT / folder).rglob(pattern)):
            if path.is_file() and not NOT_OURS & set(path.relative_to(ROOT).parts):
                yield path


def hits(pattern: str, paths: Iterator[Path]) -> list[str]:
    """`file:line: text` of each line that matches."""
    wanted = re.compile(pattern)
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if wanted.search(line)
    ]


def imports(path: Path) -> Iterator[str]:
    """Full names of what a Python file imports: modules, and `module.name` of what it takes from one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def code_blocks(text: str) -> list[tuple[str, list[str]]]:
    """(language, lines) of each fenced block of a Markdown page."""
    blocks: list[tuple[str, list[str]]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
            if inside:
                blocks.append((line[3:].strip(), []))
        elif inside:
            blocks[-1][1].append(line)
    assert not inside, "a code block does not end"
    return blocks
