"""The README's tour does what it says, line by line."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from architecture.tree import ROOT, code_blocks
from packaging_kit import server

DOCUMENTED_URL = "http://127.0.0.1:3000"


def tour(language: str, heading: str) -> str:
    """The code under a heading of the README, without the blocks that start a server."""
    page = (ROOT / "README.md").read_text()
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = ["\n".join(lines) for kind, lines in code_blocks(section) if kind == language]
    text = "\n".join(block for block in blocks if "lago-engine serve" not in block)
    assert DOCUMENTED_URL in text
    return text


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_tour_with_curl_and_with_the_client(tmp_path: Path) -> None:
    with server(tmp_path, "--sandbox") as url:
        script = tour("sh", "Five minutes with curl").replace(DOCUMENTED_URL, url)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f'{script}\necho; echo "$KEY"'],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        *answers, key = done.stdout.splitlines()

        assert '"value_already_exist"' in done.stdout
        usage = next(json.loads(a) for a in _objects(answers) if "customer_usage" in a)
        assert usage["customer_usage"]["amount_cents"] == 1050
        invoice = next(json.loads(a) for a in _objects(answers) if '"invoices":[' in a)["invoices"][
            0
        ]
        assert (invoice["total_amount_cents"], invoice["status"]) == (2050, "finalized")

        names: dict[str, object] = {"KEY": key}
        code = tour("python", "With Lago's client").replace(DOCUMENTED_URL, url)
        exec(compile(code, "README.md", "exec"), names)
        assert names["invoice"].total_amount_cents == 2050  # type: ignore[attr-defined]


def _objects(lines: list[str]) -> list[str]:
    """JSON objects that the answers, which end without a newline, consist of."""
    decoder, text, found = json.JSONDecoder(), "".join(lines).strip(), []
    while text:
        _, end = decoder.raw_decode(text)
        found.append(text[:end])
        text = text[end:].lstrip()
    return found
