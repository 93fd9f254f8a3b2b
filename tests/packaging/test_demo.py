"""`lago-engine demo`, as a user meets it first."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from packaging_kit import program


def test_the_demo_bills_three_months_and_proves_an_invoice(tmp_path: Path) -> None:
    command = [program(), "demo", "--once", "--data", tmp_path / "store"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["customers"], seen["usage_events"], seen["invoices"]) == (20, 3600, 60)
    assert seen["payment_statuses"] == ["failed", "succeeded"]
    assert seen["replayed_usage_events"] == 3600
    assert seen["identical"] is True
    assert Path(seen["pdf"]).read_bytes().startswith(b"%PDF-")


def test_the_demo_shows_it_to_people_and_its_store_can_be_used_again(tmp_path: Path) -> None:
    command = [program(), "demo", "--once", "--data", tmp_path]
    texts = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        texts.append(" ".join(done.stdout.split()))

    for text in texts:
        assert "Payment: failed → retried → succeeded" in text
        assert "VAT 20.0 %" in text
        assert "every hash holds" in text
        assert "identical" in text
    verified = subprocess.run(
        [program(), "verify", "--json", "--data", tmp_path], capture_output=True, check=True
    )
    assert json.loads(verified.stdout)["usage_events"] == 7200
