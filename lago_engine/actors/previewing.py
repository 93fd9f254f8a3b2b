"""Previews of invoices: decided on committed states, projected over stored documents, and then forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from lago_engine.actors.partition import Partition
from lago_engine.actors.usage import WindowNotReady
from lago_engine.domain.catalog.evolve import evolve_organization
from lago_engine.domain.catalog.state import OrganizationState
from lago_engine.domain.customer.preview import Preview, preview_invoice
from lago_engine.domain.customer.windows import UsageWindow
from lago_engine.domain.timezones import micros
from lago_engine.projecting.presenting import PreviewedInvoice, subscription_ids
from lago_engine.store.codec import Envelope


async def preview(
    partition: Partition, organization_id: UUID, customer_id: UUID, given: Mapping[str, Any]
) -> PreviewedInvoice:
    """The invoice that would follow from what a request supposes; `customer_id` is whom it names."""
    await partition.billing_at_once.settle_customer(customer_id)
    borrowed: set[UsageWindow] = set()
    try:
        while True:
            state = await partition.customer_state(customer_id)
            organization = partition.organization(organization_id)
            try:
                supposed = preview_invoice(
                    state,
                    given,
                    organization=organization,
                    now=partition.now(organization_id),
                    usage=partition.usage.read,
                )
            except WindowNotReady as missing:
                borrowed.add(missing.window)
                await partition.complete(missing.window)
                continue
            return await partition.read(_rehearsed, partition, organization, supposed)
    finally:
        partition.return_windows(customer_id, borrowed)


def _rehearsed(
    partition: Partition, organization: OrganizationState, supposed: Preview
) -> PreviewedInvoice:
    """The documents as they would be if the facts of the preview were stored; blocks on reading the store."""
    runner, owner = partition.rehearsal(), organization.organization.id
    now_us = partition.clock.now_us()
    for item in supposed.recorded:
        organization = evolve_organization(organization, item.event)
        envelope = Envelope(
            recorded_at_us=now_us,
            occurred_at_us=micros(item.occurred_at),
            actor="preview",
            correlation_id="",
            causation_id="",
            organization_id=owner,
        )
        runner.apply(envelope, item.event, organization)

    def read(kind: str, key: str) -> bytes:
        body = runner.documents.get(owner, kind, key)
        assert body is not None, f"a preview has its {kind}"
        return body

    invoice = read("invoice", str(supposed.invoice_id))
    return PreviewedInvoice(
        invoice, [read("subscription", key) for key in subscription_ids(invoice)]
    )
