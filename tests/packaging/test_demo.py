"""`lago-engine demo`, as a user meets it first."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from packaging_kit import program


def test_the_demo_bills_three_months_and_proves_an_invoice(tmp_path: Path) -> None:
    command = [program(), "demo", "--once", "--data", tmp_path]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["customers"], seen["usage_events"], seen["invoices"]) == (20, 3600, 60)
    assert seen["payment_statuses"] == ["failed", "succeeded"]
    assert seen["replayed_usage_events"] == 3600
    assert seen["identical"] is True
    assert Path(seen["pdf"]).read_bytes().startswith(b"%PDF-")

    # Again on the same store, for people: another organization, the same log.
    again = subprocess.run(command, capture_output=True, text=True, check=False)

    assert again.returncode == 0, again.stderr
    text = " ".join(again.stdout.split())
    for shown in (
        "Payment: failed → retried → succeeded",
        "VAT 20.0 %",
        "every hash holds",
        "identical",
    ):
        assert shown in text
    verified = subprocess.run(
        [program(), "verify", "--json", "--data", tmp_path], capture_output=True, check=True
    )
    assert json.loads(verified.stdout)["usage_events"] == 7200


def test_without_the_client_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['lago_python_client'] = None; sys.argv = ['lago-engine', 'demo'];"
        "from lago_engine.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install 'lago-engine[demo]'" in done.stderr


def test_a_taken_port_is_a_clear_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [program(), "demo", "--once", "--data", tmp_path, "--port", port],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
