import json
import re

import httpx
import pytest

from tests.conftest import Stack
from tests.waiting import wait_until

MADE = re.compile(r"[0-9a-f]{32}")


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/nothing", "/api/external/credits", "/openapi.json", "/files/a/b"]
)
async def test_every_response_has_an_id(visitor: httpx.AsyncClient, path: str) -> None:
    first, second = [(await visitor.get(path)).headers["x-request-id"] for _ in range(2)]

    assert MADE.fullmatch(first)
    assert MADE.fullmatch(second)
    assert first != second


@pytest.mark.parametrize("own", ["a", "trace-1.2_3", "A" * 128, "550e8400-e29b-41d4-a716-446655440000"])
async def test_the_clients_id_is_echoed(visitor: httpx.AsyncClient, own: str) -> None:
    for path in ("/healthz", "/nothing", "/api/external/credits"):
        response = await visitor.get(path, headers={"X-Request-ID": own})

        assert response.headers.get_list("x-request-id") == [own]


@pytest.mark.parametrize(
    "own", [b"", b"A" * 129, b"a b", b"a\tb", b"a;b", b"a,b", b"%0a", b"\xe9", b'"', b"{}", b"a/b", b"a\x85b"]
)
async def test_an_id_that_could_forge_a_log_line_is_replaced(visitor: httpx.AsyncClient, own: bytes) -> None:
    response = await visitor.get("/healthz", headers={b"X-Request-ID": own})

    assert MADE.fullmatch(response.headers["x-request-id"])


async def test_the_response_to_a_refused_body_has_an_id_too(customer: httpx.AsyncClient) -> None:
    response = await customer.post("/v1/chat/completions", content=b" " * 11_000_000, headers={"X-Request-ID": "mine"})

    assert (response.status_code, response.headers["x-request-id"]) == (413, "mine")


async def test_a_stream_has_an_id_too(customer: httpx.AsyncClient) -> None:
    asked = {"messages": [{"role": "user", "content": "hello"}], "stream": True}

    response = await customer.post("/v1/chat/completions", json=asked, headers={"X-Request-ID": "mine"})

    assert (response.status_code, response.headers["x-request-id"]) == (200, "mine")


async def test_the_log_holds_the_requests_id_but_not_its_content(visitor: httpx.AsyncClient, stack: Stack) -> None:
    await visitor.get("/files/hunter2/name?secret=hunter3", headers={"X-Request-ID": "to-be-found"})

    def logged() -> list[str]:
        # The line is written once the response is complete, and may be read before its end is.
        lines = (stack.folder / "api.log").read_text().splitlines()
        return [line for line in lines if "to-be-found" in line and line.endswith("}")]

    (line,) = wait_until(logged)
    log = (stack.folder / "api.log").read_text()
    assert json.loads(line).items() >= {"event": "request", "method": "GET", "status": 404}.items()
    assert "hunter" not in log
