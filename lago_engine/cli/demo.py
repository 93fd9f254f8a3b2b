"""`lago-engine demo`: a server on a store of its own, three months of billing, and the proof of an invoice."""

from __future__ import annotations

import asyncio
import json
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
import uvloop
from rich.console import Console
from rich.progress import Progress

from lago_engine.audit.explain import InvoiceExplained, explain
from lago_engine.audit.replay import Report, replay
from lago_engine.audit.verify import Verified, verify
from lago_engine.bootstrap import event_codec, fingerprint_secret, open_engine
from lago_engine.cli.audit import show_explanation
from lago_engine.cli.logs import configure_logging
from lago_engine.cli.options import json_option
from lago_engine.cli.serve import listening, stop_on_signals, until_stopped
from lago_engine.clock import SystemClock
from lago_engine.errors import CorruptionError
from lago_engine.projecting.inline import find_projections
from lago_engine.settings import ConfigError, Settings
from lago_engine.store.open import open_store

if TYPE_CHECKING:
    from lago_engine.demo.tour import Seen

MISSING = "the demo drives the server with Lago's own client: pip install 'lago-engine[demo]'"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What an auditor finds in the store."""

    explained: InvoiceExplained
    verified: Verified
    report: Report


@click.command()
@click.option("--once", is_flag=True, help="End after the tour instead of leaving the server up.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the store (default: a new temporary one, which is kept).",
)
@click.option("--port", type=int, default=0, help="Port to listen on (default: any free one).")
@json_option
def demo(once: bool, data: Path | None, port: int, as_json: bool) -> None:
    """Bill three months of 20 customers in a sandbox, then explain, verify and replay an invoice."""
    if find_spec("lago_python_client") is None:
        raise ConfigError(MISSING)
    configure_logging("warning")
    folder = data or Path(tempfile.mkdtemp(prefix="lago-engine-demo-"))
    settings = Settings(data=folder, port=port, sandbox=True)
    uvloop.run(_serve_and_tour(settings, once=once, as_json=as_json))


async def _serve_and_tour(settings: Settings, *, once: bool, as_json: bool) -> None:
    """The real server in this loop; its guest in a thread, who knows only the URL and the directory."""
    async with open_engine(settings, SystemClock()) as opened, listening(settings, opened) as url:
        await asyncio.to_thread(_tour, url, settings.data, once, as_json)
        if not once:
            await until_stopped(stop_on_signals(), opened)


def _tour(url: str, folder: Path, once: bool, as_json: bool) -> None:
    # Not at the top: the client is an optional dependency.
    from lago_engine.demo.tour import take_tour

    with Progress(console=Console(stderr=True), transient=True) as progress:
        seen = take_tour(url, folder, progress)
        proof = _prove(folder, seen.invoice.number, progress)
    if as_json:
        click.echo(json.dumps(_summary(url, folder, seen, proof), indent=2))
    else:
        _show(url, folder, seen, proof, Console(), once=once)
    if not proof.report.identical:
        raise CorruptionError(f"the replay found {proof.report.mismatch_count} differences")


def _prove(folder: Path, number: str, progress: Progress) -> Proof:
    """Read the store beside the running server, as an auditor would."""
    store = open_store(folder, None, read_only=True)
    try:
        last = store.last_position()
        verifying = progress.add_task("verifying", total=last)
        replaying = progress.add_task("replaying", total=last)
        return Proof(
            explained=explain(store, number),
            verified=verify(store, lambda at: progress.update(verifying, completed=at)),
            report=replay(
                store,
                event_codec(),
                find_projections().projections,
                fingerprint_secret(store),
                lambda at: progress.update(replaying, completed=at),
            ),
        )
    finally:
        store.close()


def _summary(url: str, folder: Path, seen: Seen, proof: Proof) -> dict[str, Any]:
    return {
        "url": url,
        "api_key": seen.api_key,
        "data": str(folder),
        "seconds_to_invoice": round(seen.seconds, 2),
        "customers": seen.customers,
        "usage_events": seen.usage_events,
        "invoices": seen.invoices,
        "invoice": {
            "number": seen.invoice.number,
            "total_amount_cents": seen.invoice.total_amount_cents,
            "currency": seen.invoice.currency,
        },
        "payment_statuses": list(seen.payments),
        "pdf": str(seen.pdf),
        "verified_commits": proof.verified.commits,
        "last_commit_hash": proof.verified.last_commit_hash,
        "replayed_facts": proof.report.facts,
        "replayed_usage_events": proof.report.usage_events,
        "identical": proof.report.identical,
    }


def _show(
    url: str, folder: Path, seen: Seen, proof: Proof, console: Console, *, once: bool
) -> None:
    from lago_engine.demo.show import invoice_table, try_it

    console.print(
        f"[bold]{seen.customers} customers, {seen.usage_events:,} usage events, three months, "
        f"{seen.invoices} invoices in {seen.seconds:.1f} s[/bold]\n"
    )
    console.print(invoice_table(seen.invoice))
    console.print(f"Payment: {' → retried → '.join(seen.payments)}\n")
    show_explanation(proof.explained, console, events_max=3)
    verified, report = proof.verified, proof.report
    verdict = "identical" if report.identical else f"{report.mismatch_count} differences"
    console.print(f"\nPDF: {seen.pdf}", soft_wrap=True)
    console.print(f"Verified {verified.commits} commits: every hash holds.")
    console.print(
        f"Replayed {report.facts + report.usage_events} events ({report.invoices} invoice decisions, "
        f"{report.documents} documents): [bold]{verdict}[/bold].\n"
    )
    if not once:
        console.print(
            try_it(url, seen.api_key, folder), soft_wrap=True, markup=False, highlight=False
        )
