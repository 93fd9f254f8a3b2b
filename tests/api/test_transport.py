"""Keys, routes, methods and bodies that are not as they should be (api_conventions §1, §2, §4)."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from api.client import Api
from api.conftest import Server
from structlog.testing import capture_logs

from lago_engine.api.app import RESOURCES, SANDBOX
from lago_engine.api.bodies import read_body
from lago_engine.api.edge import add_routes
from lago_engine.api.routes import Route
from lago_engine.api.traffic import Traffic
from lago_engine.settings import Settings

MIB = 1024 * 1024

WITHOUT_KEY = {("POST", "/test_clock/organizations")}
WITH_KEY = sorted(
    {
        (route.method, re.sub(r"\{\w+\}", "x", route.path))
        for module in (*RESOURCES, *SANDBOX)
        for route in module.ROUTES
    }
    - WITHOUT_KEY
)


def refused(response: httpx.Response, status: int, code: str | None = None) -> None:
    """Fail unless the answer is the JSON refusal with this status and code."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    body = response.json()
    assert body["status"] == status
    assert body["error"]
    assert body.get("code") == code


# --- keys --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), WITH_KEY)
def test_every_operation_needs_a_key(anonymous: Api, method: str, path: str) -> None:
    refused(anonymous.send(method, path), 401)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer unknown", "Bearer 0f8a6d1f-0f11-4a6e-9a0f-0f8a6d1f0f11", "Basic !!!"],
)
def test_a_wrong_key_is_refused(anonymous: Api, header: str) -> None:
    response = anonymous.send("GET", "/taxes", headers={"Authorization": header})
    refused(response, 401)
    assert response.json() == {"status": 401, "error": "Unauthorized"}


def test_the_key_is_the_second_word_or_the_basic_user_name(api: Api) -> None:
    basic = base64.b64encode(f"{api.key}:".encode()).decode()
    for header in (f"Bearer {api.key}", f"Token {api.key} more", f"Basic {basic}"):
        assert api.send("GET", "/taxes", headers={"Authorization": header}).status_code == 200


def test_a_key_inside_the_url_works_without_a_header(api: Api) -> None:
    url = api.url.replace("http://", f"http://{api.key}@")
    assert httpx.get(f"{url}/api/v1/customers").json()["customers"] == []


# --- routes and methods ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/taxes/a/b", "/api/v2/taxes",
     "/api/v1/plans/x/prices", "/files", "/files/invoices/guess.pdf", "/webhooks"],
)  # fmt: skip
def test_an_unknown_route_is_a_json_404(api: Api, path: str) -> None:
    response = api.http.get(path, headers={"Authorization": f"Bearer {api.key}"})
    refused(response, 404, "resource_not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/taxes", "GET, HEAD, POST"),
        ("POST", "/taxes/vat", "DELETE, GET, HEAD, PATCH, PUT"),
        ("PUT", "/customers", "GET, HEAD, POST"),
        ("PUT", "/events", "GET, HEAD, POST"),
        ("DELETE", "/organizations", "GET, HEAD, PATCH, PUT"),
        ("GET", "/invoices/x/void", "POST"),
        ("OPTIONS", "/plans", "GET, HEAD, POST"),
    ],
)
def test_a_wrong_method_is_a_json_405(api: Api, method: str, path: str, allow: str) -> None:
    response = api.send(method, path)
    if allow is None:
        refused(response, 404, "resource_not_found")
    else:
        refused(response, 405, "method_not_allowed")
        assert response.headers["Allow"] == allow


def test_put_and_patch_are_one(api: Api) -> None:
    api.create("tax", "/taxes", name="VAT", code="vat", rate=20)
    for method, name in (("PUT", "One"), ("PATCH", "Two")):
        changed = api(method, "/taxes/{}", "vat", body={"tax": {"name": name}})
        assert changed["tax"]["name"] == name


def test_head_answers_as_get_without_a_body(api: Api) -> None:
    response = api.send("HEAD", "/taxes")
    assert response.status_code == 200
    assert response.content == b""


# --- bodies ------------------------------------------------------------------------------------

MALFORMED = [
    b"{",
    b'{"tax":{"code":"a",}}',
    b"tax=1",
    b'{"tax":{"code":"\xff\xfe"}}',
    b'{"tax":' + b'{"a":' * 64 + b"1" + b"}" * 65,
    b"[" * 200_000,
    b'{"tax":{"rate":1e999999999}}',
    b'{"tax":{"rate":NaN}}',
]


@pytest.mark.parametrize("content", MALFORMED)
@pytest.mark.parametrize("path", ["/taxes", "/customers", "/plans", "/subscriptions", "/payments"])
def test_a_malformed_body_is_refused(api: Api, path: str, content: bytes) -> None:
    response = api.send("POST", path, content=content)
    refused(response, 400)
    assert response.json() == {"status": 400, "error": "Bad Request"}


@pytest.mark.parametrize("path", ["/events", "/events/batch", "/test_clock/events"])
@pytest.mark.parametrize(
    "content", [b"{", b"event", b'{"event":{"code":"\xff"}}', b"[" * 200_000, b'{"a":' * 65]
)
def test_a_malformed_body_of_events_is_refused(api: Api, path: str, content: bytes) -> None:
    refused(api.send("POST", path, content=content), 400)


@pytest.mark.parametrize(
    ("path", "wrapper"),
    [
        ("/taxes", "tax"),
        ("/billable_metrics", "billable_metric"),
        ("/plans", "plan"),
        ("/customers", "customer"),
        ("/subscriptions", "subscription"),
        ("/payments", "payment"),
        ("/webhook_endpoints", "webhook_endpoint"),
        ("/payment_providers", "payment_provider"),
        ("/test_clock/advance", "test_clock"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"other":{"a":1}}'])
def test_a_missing_wrapper_is_named(api: Api, path: str, wrapper: str, content: bytes) -> None:
    response = api.send("POST", path, content=content)
    error = f"BadRequest: param is missing or the value is empty or invalid: {wrapper}"
    assert (response.status_code, response.json()) == (400, {"status": 400, "error": error})


@pytest.mark.parametrize("content", [b"", b"{}", b'{"event":{}}', b'{"other":{"a":1}}'])
def test_a_missing_event_is_named(api: Api, content: bytes) -> None:
    response = api.send("POST", "/events", content=content)
    error = "BadRequest: param is missing or the value is empty or invalid: event"
    assert (response.status_code, response.json()) == (400, {"status": 400, "error": error})


@pytest.mark.parametrize("path", ["/taxes", "/events", "/events/batch", "/test_clock/events"])
def test_a_huge_body_is_refused(api: Api, path: str) -> None:
    content = b'{"tax":{"name":"' + b"x" * (10 * MIB) + b'"}}'
    refused(api.send("POST", path, content=content), 413, "content_too_large")


def test_a_huge_body_of_unknown_length_is_refused(api: Api) -> None:
    def chunks() -> object:
        for _ in range(11):
            yield b"x" * MIB

    response = api.http.post(
        "/api/v1/events",
        content=chunks(),  # type: ignore[arg-type]
        headers={"Authorization": f"Bearer {api.key}"},
    )
    refused(response, 413, "content_too_large")


def test_a_declared_huge_body_is_refused_before_it_is_sent(api: Api) -> None:
    """Only the head of the request goes out; the answer does not wait for the body."""

    async def answer() -> bytes:
        host, port = api.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n"
            f"Content-Length: {100 * MIB}\r\n\r\n"
        )
        writer.write(head.encode())
        line = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        return line

    assert b"413" in asyncio.run(answer())


async def test_a_client_that_hangs_up_is_no_defect() -> None:
    """given half a body / when the connection ends / then 400 in the log, and no traceback"""

    arrived = asyncio.Event()

    async def create(request: web.Request) -> web.Response:
        arrived.set()
        return web.Response(body=await read_body(request))

    with capture_logs() as logs:
        async with serving(Route("POST", "/", create)) as (host, port):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            await arrived.wait()
            writer.close()
    assert [(entry["event"], entry.get("status")) for entry in logs] == [("request", 400)]


@asynccontextmanager
async def serving(*routes: Route) -> AsyncIterator[tuple[str, int]]:
    """A server of a few routes; its host and port."""
    app = web.Application()
    add_routes(app, "", routes, Traffic())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0]
    finally:
        await runner.cleanup()


def test_nuls_and_other_controls_in_text(api: Api) -> None:
    customer = api.customer("a\u0000cme", name="A\u0000c\u0001me", email=None)
    assert (customer["external_id"], customer["name"]) == ("acme", "Ac\u0001me")
    refused(api.send("GET", "/customers/a%00b"), 404, "customer_not_found")
    assert api("GET", "/customers", query={"search_term": "\0"})["meta"]["total_count"] == 1


def test_ids_in_paths_take_any_character(api: Api) -> None:
    for external_id in ("a b", "ä/ö", "v1.2", "{x}", "50%", "a%2Fb", "a+b", "?#", "日本"):
        api.customer(external_id)
        assert api("GET", "/customers/{}", external_id)["customer"]["external_id"] == external_id


# --- failures of the engine --------------------------------------------------------------------


def test_backpressure_says_when_to_come_back(tmp_path: Path) -> None:
    """given a limit below nothing / when events arrive / then 429 with Retry-After, before parsing"""
    settings = Settings(data=tmp_path, sandbox=True, staged_bytes_max=-1)
    with Server(settings) as server:
        anonymous = Api(server.url, None)
        made = anonymous("POST", "/test_clock/organizations", body={"organization": {"name": "A"}})
        api = Api(server.url, made["api_key"])
        response = api.send("POST", "/events", content=b"not even JSON")
        anonymous.close()
        api.close()
    refused(response, 429, "rate_limit_exceeded")
    assert response.headers["Retry-After"] == "1"


async def test_a_defect_becomes_a_500_with_a_correlation_id() -> None:
    async def defective(request: web.Request) -> web.Response:
        raise RuntimeError("a defect")

    routes = [Route("GET", "/often", defective, often=True), Route("GET", "/seldom", defective)]
    async with serving(*routes) as (host, port), httpx.AsyncClient() as http:
        answers = [await http.get(f"http://{host}:{port}/{path}") for path in ("often", "seldom")]
    for answer in answers:
        body = json.loads(answer.content)
        assert answer.status_code == 500
        assert re.fullmatch(r"[0-9a-f]{16}", body.pop("correlation_id"))
        assert body == {"status": 500, "error": "Internal Server Error"}


# --- for operators -----------------------------------------------------------------------------


def test_health_ready_and_metrics_need_no_key(anonymous: Api) -> None:
    health = anonymous.http.get("/health").json()
    assert health["message"] == "Success"
    assert health["version"]
    assert anonymous.http.get("/ready").json() == {"status": "ok"}
    metrics = anonymous.http.get("/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE " in metrics.text


def test_requests_are_counted_by_route_and_status(api: Api) -> None:
    """given requests of one route that end differently / then each status has its count, and the times add up"""

    def figure(name: str) -> float:
        lines = api.http.get("/metrics").text.splitlines()
        found = [line.rsplit(" ", 1)[1] for line in lines if line.startswith(name + " ")]
        return float(found[0]) if found else 0.0

    route = 'method="GET",route="/api/v1/events/{transaction_id}"'
    found = f'lago_http_requests_total{{{route},status="200"}}'
    missing = f'lago_http_requests_total{{{route},status="404"}}'
    count = f"lago_http_request_duration_seconds_count{{{route}}}"
    endless = f'lago_http_request_duration_seconds_bucket{{le="+Inf",{route}}}'
    before = [figure(name) for name in (found, missing, count)]
    api.event("t1")
    for transaction_id in ("t1", "none", "other", "t1"):
        api.send("GET", "/events/{}", transaction_id)
    assert [figure(name) for name in (found, missing, count)] == [
        before[0] + 2,
        before[1] + 2,
        before[2] + 4,
    ]
    assert figure(endless) == figure(count)
