"""`payment_provider` documents: configured connections, without what authenticates them."""

from __future__ import annotations

from lago_engine.domain.events import DomainEvent, PaymentConnectionSet
from lago_engine.projecting import Context, Projection
from lago_engine.projecting.wire import encode, instant, sort_key


class PaymentProviderProjection(Projection):
    """Connections; key: code. `config_keys` names what is configured; no value ever leaves the log."""

    name = "payment_providers"
    kinds = ("payment_provider",)
    handles = (PaymentConnectionSet,)

    def apply(self, event: DomainEvent, context: Context) -> None:
        assert isinstance(event, PaymentConnectionSet)
        connection = event.connection
        body = encode(
            {
                "lago_id": connection.id,
                "code": connection.code,
                "name": connection.name,
                "provider": connection.provider,
                "simulated_as": connection.simulated_as,
                "config_keys": sorted(connection.config),
                "created_at": instant(connection.created_at),
            }
        )
        context.put(
            "payment_provider", connection.code, body, sort_key=sort_key(connection.created_at)
        )
