"""Histories recorded with older code: the code of today must decide every invoice again as it was.

Histories are added, never edited. One that no longer replays means that the engine would bill differently
what it has billed already; the way out is a new version of the event or a rule bound to its date.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from engine_kit import Home, Shop, instant, running
from replay.history import Commit, Fact, Installation, Line, load, read

from lago_engine.bootstrap import event_codec
from lago_engine.clock import ManualClock
from lago_engine.domain.events import InvoiceFinalized
from lago_engine.metering import Meter

FILES = sorted(Path(__file__).parent.glob("history_*.jsonl"))
NEWEST = FILES[-1]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    return Home(tmp_path / "data", url)


def restore(home: Home, lines: list[Line]) -> None:
    store = home.store()
    load(lines, store)
    store.close()


def commits(lines: list[Line]) -> list[Commit]:
    return [line for line in lines if isinstance(line, Commit)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_recorded_invoice_is_decided_again(home: Home, file: Path) -> None:
    lines = read(file)
    restore(home, lines)
    verified, report = home.verified(), home.replayed()
    assert verified.commits == report.commits == len(commits(lines))
    assert verified.last_commit_hash == commits(lines)[-1].hash
    assert report.invoices >= 20
    assert report.usage_events >= 50
    # Documents may gain members with time; what was billed may not change.
    assert [mismatch for mismatch in report.mismatches if mismatch.kind != "document"] == []


def test_the_newest_history_gives_the_same_documents(home: Home) -> None:
    restore(home, read(NEWEST))
    report = home.replayed()
    assert report.documents > 50
    assert report.identical, report.mismatches[:3]


async def test_an_engine_goes_on_with_a_recorded_history(home: Home) -> None:
    restore(home, read(NEWEST))
    async with running(home, ManualClock(instant("2024-04-01"))) as opened:
        shop = Shop(opened)
        before = len(shop.invoices())
        event = shop.event("acme", "calls", id="acme-march", at="2024-03-01T12:00:00Z")
        assert (await shop.ingest([event]))[0] == 422
        await shop.use("acme", "calls", id="acme-april")
        await shop.advance_to("2024-06-01")
        assert len(shop.invoices()) > before
        numbers = [i["number"] for i in shop.invoices() if i["status"] != "draft"]
        assert len(numbers) == len(set(numbers))
    home.assert_sound()


def forged(lines: list[Line], *, cents: int) -> tuple[list[Line], str]:
    """The history with another amount on its last invoice, and all hashes made to fit; the invoice's number."""
    (secret,) = (line.secret for line in lines if isinstance(line, Installation))
    meter = Meter(bytes.fromhex(secret))
    *earlier, last = commits(lines)
    for commit in earlier:
        batch = commit.batch()
        meter.apply_facts(
            [(fact.stream_id, fact.version, bytes.fromhex(fact.hash)) for fact in commit.facts]
        )
        if batch.segment is not None:
            meter.apply_segment(batch.segment)
        meter.apply_commit(batch.seq, batch.hash)
    bodies, number = [], ""
    for fact in last.facts:
        body = b"\x01" + fact.body.encode()
        envelope, event = event_codec().decode(fact.topic, body)
        if isinstance(event, InvoiceFinalized):
            number = event.invoice.number
            total = event.invoice.total_amount_cents + cents
            invoice = msgspec.structs.replace(event.invoice, total_amount_cents=total)
            changed = msgspec.structs.replace(event, invoice=invoice)
            body = event_codec().encode(envelope, changed)[1]
        bodies.append((fact.stream_id, fact.topic, body))
    sealed = meter.seal(last.recorded_at_us, bodies)
    facts = [
        Fact(stream_id, version, topic, chained.hex(), body[1:].decode())
        for (stream_id, topic, body), version, chained in zip(
            bodies, sealed.versions, sealed.hashes, strict=True
        )
    ]
    end = msgspec.structs.replace(last, hash=sealed.commit_hash.hex(), facts=facts)
    return [end if line is last else line for line in lines], number


def test_rebuilding_the_last_commit_unchanged_gives_the_recorded_hashes() -> None:
    lines = read(NEWEST)
    assert forged(lines, cents=0)[0] == lines


def test_a_forged_amount_with_fitting_hashes_is_a_mismatch(home: Home) -> None:
    lines, number = forged(read(NEWEST), cents=1)
    restore(home, lines)
    # The chain holds, for whoever has no copy of an earlier checkpoint …
    assert home.verified().last_commit_hash != commits(read(NEWEST))[-1].hash
    # … but the events do not lead to that amount.
    report = home.replayed()
    assert not report.identical
    (mismatch,) = [mismatch for mismatch in report.mismatches if mismatch.kind == "invoice"]
    assert number
    assert number in mismatch.where
    assert mismatch.stored is not None
    assert mismatch.replayed is not None
    assert mismatch.stored != mismatch.replayed
