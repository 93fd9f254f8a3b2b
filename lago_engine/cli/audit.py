"""`lago-engine verify`, `replay` and `explain`: the log read by auditors, beside a running server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lago_engine.audit.explain import InvoiceExplained
from lago_engine.audit.explain import explain as explain_invoice
from lago_engine.audit.replay import Report
from lago_engine.audit.replay import replay as replay_log
from lago_engine.audit.verify import verify as verify_log
from lago_engine.bootstrap import event_codec, fingerprint_secret
from lago_engine.cli.options import json_option, loaded, store_options
from lago_engine.projecting.inline import find_projections
from lago_engine.settings import Settings
from lago_engine.store.open import open_store
from lago_engine.store.port import Store

MISMATCHES_SHOWN = 10


@contextmanager
def reading(config_file: Path | None, flags: dict[str, Any]) -> Iterator[Store]:
    """The store of these settings, opened to read."""
    settings: Settings = loaded(config_file, **flags).settings
    data = None if settings.database else settings.data
    store = open_store(data, settings.database, read_only=True)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _progress(store: Store, title: str) -> Iterator[Callable[[int], None]]:
    """A bar over the positions of the log, on stderr."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=store.last_position())
        yield lambda position: bar.update(task, completed=position)


@click.command()
@store_options
@json_option
def verify(config_file: Path | None, as_json: bool, **flags: Any) -> None:
    """Recompute every hash chain and checkpoint; exit 1 at the first byte that is not what was written."""
    with reading(config_file, flags) as store, _progress(store, "verifying") as progress:
        verified = verify_log(store, progress)
    if as_json:
        click.echo(msgspec.json.encode(verified).decode())
        return
    click.echo(
        f"{verified.commits} commits, {verified.facts} events and {verified.usage_events} usage events "
        f"hold. Last commit: {verified.last_commit_hash}"
    )


@click.command()
@store_options
@click.option("--pdfs", is_flag=True, help="Make every PDF again and compare its hash.")
@json_option
def replay(config_file: Path | None, as_json: bool, pdfs: bool, **flags: Any) -> None:
    """Rebuild states, documents and invoices from the log and compare; exit 1 when something differs."""
    started = time.monotonic()
    with reading(config_file, flags) as store, _progress(store, "replaying") as progress:
        report = replay_log(
            store,
            event_codec(),
            find_projections().projections,
            fingerprint_secret(store),
            progress,
            pdfs=pdfs,
        )
    seconds = time.monotonic() - started
    if as_json:
        shown = msgspec.to_builtins(report) | {"identical": report.identical, "seconds": seconds}
        click.echo(msgspec.json.encode(shown).decode())
    else:
        _show_report(report, seconds)
    if not report.identical:
        raise SystemExit(1)


def _show_report(report: Report, seconds: float) -> None:
    done = report.facts + report.usage_events
    verdict = "identical" if report.identical else f"{report.mismatch_count} differences"
    click.echo(
        f"replayed {done} events ({report.facts} facts, {report.usage_events} usage) in {seconds:.2f} s, "
        f"{done / max(seconds, 0.001):,.0f}/s: {report.invoices} invoice decisions, "
        f"{report.documents} documents, {report.pdfs} PDFs: {verdict}"
    )
    if report.pdfs_of_others:
        click.echo(f"{report.pdfs_of_others} PDFs were made by another template or compiler")
    for mismatch in report.mismatches[:MISMATCHES_SHOWN]:
        click.echo(f"- {mismatch.kind}: {mismatch.where}", err=True)
        click.echo(f"    stored:   {mismatch.stored}", err=True)
        click.echo(f"    replayed: {mismatch.replayed}", err=True)


@click.command()
@click.argument("invoice")
@store_options
@json_option
def explain(invoice: str, config_file: Path | None, as_json: bool, **flags: Any) -> None:
    """Show where every amount of INVOICE (id or number) comes from, down to its usage events."""
    with reading(config_file, flags) as store:
        explained = explain_invoice(store, invoice)
    if as_json:
        click.echo(msgspec.json.encode(explained).decode())
        return
    show_explanation(explained, Console())


def show_explanation(
    explained: InvoiceExplained, console: Console, *, events_max: int = 10
) -> None:
    """Print an explained invoice for people."""
    title = f"Invoice {explained.number} ({explained.status}), {explained.currency}"
    table = Table("fee", "amount", "why", title=title, title_justify="left")
    for fee in explained.fees:
        lines = [*fee.derivation]
        for event in fee.events[:events_max]:
            lines.append(f"  {event.timestamp} {event.transaction_id} {dict(event.properties)}")
        if len(fee.events) > events_max:
            lines.append(f"  … and {(fee.events_count or 0) - events_max} more")
        table.add_row(fee.item, str(fee.amount_cents), "\n".join(lines))
    console.print(table)
    for line in explained.derivation:
        console.print(line)
