"""The endpoints that Lago does not have, over plain HTTP: test organization, clock, pretended provider."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from lago_engine.errors import UnavailableError

TIMEOUT_S = 60


class Sandbox:
    """One test organization, made on the server at `url`."""

    def __init__(self, url: str, organization: dict[str, Any]) -> None:
        self._url = url
        self.api_key = ""
        made = self._call("POST", "/organizations", {"organization": organization})
        self.api_key = made["api_key"]

    def set_clock(self, now: datetime) -> None:
        self._call("PUT", "", {"test_clock": {"now": now.isoformat()}})

    def advance(self, to: datetime) -> dict[str, int]:
        """Live through everything due until `to`; what was done, counted by kind."""
        answer = self._call("POST", "/advance", {"test_clock": {"to": to.isoformat()}})
        actions: dict[str, int] = answer["test_clock"]["actions"]
        return actions

    def connect_payments(self, code: str, outcome: str) -> None:
        """What the pretended provider behind `code` answers from now on."""
        connection = {"code": code, "name": code, "type": "stripe", "outcome": outcome}
        self._call("POST", "/payment_providers", {"payment_provider": connection})

    def _call(self, method: str, path: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        request = Request(  # noqa: S310 - the URL is that of the server started for the demo.
            f"{self._url}/api/v1/test_clock{path}",
            method=method,
            data=json.dumps(body).encode(),
            headers=headers,
        )
        try:
            with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - as above.
                return json.load(response)
        except HTTPError as error:
            raise UnavailableError(
                f"{method} /test_clock{path}: {error.code} {error.read().decode()}"
            ) from error


def download(url: str) -> bytes:
    """The file behind a link that the server gave."""
    with urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - the server's own link.
        body: bytes = response.read()
        return body
