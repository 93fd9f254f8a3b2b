"""A client that holds every answer of the server against the wire schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import wire

BASE_PATH = "/api/v1"

Query = Mapping[str, Any] | Sequence[tuple[str, str]]


class Api:
    """One organization's view of a server.

    Called with a method, a path below `/api/v1` whose `{}` take the ids that follow, and what to
    send; gives the decoded answer after checking its status and its shape.
    """

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        self.key = key
        self.http = httpx.Client(base_url=url, timeout=30)

    def close(self) -> None:
        self.http.close()

    def __call__(
        self,
        method: str,
        template: str,
        *ids: str,
        body: Any = None,
        query: Query | None = None,
        status: int = 200,
        content: bytes | None = None,
    ) -> Any:
        if body is not None:
            content = json.dumps(body).encode()
        response = self.send(method, template, *ids, query=query, content=content)
        assert response.status_code == status, response.text
        wire.assert_valid(method, template, status, response.content)
        return response.json() if response.content else None

    def send(
        self,
        method: str,
        template: str,
        *ids: str,
        query: Query | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer as it came, unchecked."""
        path = BASE_PATH + template.format(*(quote(each, safe="") for each in ids))
        given = {"Content-Type": "application/json"}
        if self.key is not None:
            given["Authorization"] = f"Bearer {self.key}"
        pairs = list(query.items()) if isinstance(query, Mapping) else list(query or ())
        return self.http.request(
            method, path, params=pairs, content=content, headers=given | dict(headers or {})
        )

    # --- what many tests need ------------------------------------------------------------------

    def set_clock(self, now: str) -> None:
        self("PUT", "/test_clock", body={"test_clock": {"now": now, "rewind": True}})

    def create(self, wrapper: str, template: str, **fields: Any) -> Any:
        """The object that a `POST` made."""
        return self("POST", template, body={wrapper: fields})[wrapper]

    def metric(self, code: str = "storage", **fields: Any) -> Any:
        given = {"name": code.title(), "aggregation_type": "sum_agg", "field_name": "gb"} | fields
        return self.create("billable_metric", "/billable_metrics", code=code, **given)

    def plan(self, code: str = "basic", **fields: Any) -> Any:
        given = {
            "name": code.title(),
            "interval": "monthly",
            "amount_cents": 1000,
            "amount_currency": "EUR",
            "pay_in_advance": False,
        } | fields
        return self.create("plan", "/plans", code=code, **given)

    def customer(self, external_id: str = "acme", **fields: Any) -> Any:
        return self.create("customer", "/customers", external_id=external_id, **fields)

    def subscription(
        self,
        external_id: str = "sub",
        *,
        customer: str = "acme",
        plan: str = "basic",
        **fields: Any,
    ) -> Any:
        return self.create(
            "subscription",
            "/subscriptions",
            external_id=external_id,
            external_customer_id=customer,
            plan_code=plan,
            **fields,
        )

    def event(self, transaction_id: str, **fields: Any) -> Any:
        given = {"external_subscription_id": "sub", "code": "storage"} | fields
        return self.create("event", "/events", transaction_id=transaction_id, **given)
