"""What passes through the proxy, and what the proxy itself says: a client sees one server."""

import asyncio
import json
import ssl
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import openai
import pytest

from app.core.database import Database
from devstack.ports import free_port
from tests.agents.definitions import make_host
from tests.chat.asking import CHAT, opened_stream
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.factories import Organization
from tests.proxy.caddy import running_proxy
from tests.proxy.conftest import Fleet
from tests.waiting import wait_until

HELLO = {"messages": [{"role": "user", "content": "count to 3"}]}
MEGABYTE = 1024 * 1024


@asynccontextmanager
async def server_that(answers: bytes) -> AsyncIterator[int]:
    """A server at 127.0.0.2 that reads something, writes this and closes the connection; yields its port."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answers)
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.2", free_port())
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_chat_passes(http: httpx.AsyncClient, customer: Organization) -> None:
    response = await http.post(CHAT, json=HELLO, headers={**customer.headers, "X-Request-ID": "mine-1"})

    assert response.json()["choices"][0]["message"]["content"] == "1 2 3"
    assert response.headers["x-request-id"] == "mine-1"
    assert int(response.headers["x-ratelimit-remaining"]) >= 0
    assert not {"server", "via"} & set(response.headers)


async def test_a_stream_is_not_buffered_and_ends_with_its_client(
    http: httpx.AsyncClient, database: Database, stack: Stack
) -> None:
    upstream = UpstreamLog(stack.simulator.log)
    host = await make_host(database, "sim-chat--stall-2")
    async with opened_stream(http, host, "count to 4") as opened:
        # The third word never comes, so nothing waits for a buffer to fill.
        await opened.read(until=b'"2 "')
        assert opened.response.headers.get("content-encoding", "identity") == "identity"

    (call,) = await upstream.ended("sim-chat--stall-2")
    assert call["outcome"]


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_body_that_is_too_large_gets_the_servers_own_refusal(
    http: httpx.AsyncClient, customer: Organization, is_announced: bool
) -> None:
    """While the client is still sending it."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * MEGABYTE

    headers = {**customer.headers, **({"Content-Length": str(30 * MEGABYTE)} if is_announced else {})}
    for _ in range(5):
        response = await http.post(CHAT, content=pieces(), headers=headers)

        assert (response.status_code, response.json()["error"]["code"]) == (413, "payload_too_large")
        assert response.headers["x-ratelimit-limit"]


async def test_a_client_cannot_choose_its_address(http: httpx.AsyncClient) -> None:
    """Its failed attempts are counted for the address that it has, whatever it claims."""
    statuses = [
        (await http.get("/agents", headers={"X-API-Key": "wrong", "X-Forwarded-For": f"192.0.2.{n}"})).status_code
        for n in range(8)
    ]

    assert statuses == [401] * 5 + [429] * 3


async def test_an_attempt_with_a_valid_key_is_not_refused_for_others(
    http: httpx.AsyncClient, customer: Organization
) -> None:
    assert (await http.get("/agents", headers=customer.headers)).status_code == 200


async def test_metrics_stay_closed(fleet: Fleet) -> None:
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{fleet.proxy.url}/metrics")).status_code == 404


async def test_without_any_api_the_client_may_retry(tmp_path: Path) -> None:
    with running_proxy(tmp_path, free_port(), "127.0.0.2") as proxy:
        async with httpx.AsyncClient(timeout=60) as http:
            response = await http.post(f"{proxy.url}{CHAT}", json=HELLO, headers={"X-Request-ID": "mine-2"})

    assert response.status_code == 503
    assert response.json() == {
        "error": {
            "message": "The service is temporarily unavailable",
            "type": "server_error",
            "code": "service_unavailable",
        }
    }
    assert response.headers["content-type"] == "application/json"
    assert (response.headers["retry-after"], response.headers["x-request-id"]) == ("1", "mine-2")
    assert "x-should-retry" not in response.headers


async def test_what_may_have_run_is_not_retried(tmp_path: Path) -> None:
    """The connection is lost after the request was sent. OpenAI's own client must not send it again."""
    async with server_that(b"") as port:
        with running_proxy(tmp_path, port, "127.0.0.2") as proxy:
            client = openai.AsyncOpenAI(api_key="any", base_url=f"{proxy.url}/v1", max_retries=2)
            with pytest.raises(openai.InternalServerError) as raised:
                await client.chat.completions.create(model="any", messages=[{"role": "user", "content": "hi"}])
            await client.close()
        requests = proxy.log.read_text().count('"logger":"http.log.access')

    assert (raised.value.status_code, raised.value.code) == (502, "service_unavailable")
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert (
        str(uuid.UUID(raised.value.response.headers["x-request-id"])) == raised.value.response.headers["x-request-id"]
    )
    assert requests == 1


async def test_the_log_holds_no_secrets(tmp_path: Path) -> None:
    async with server_that(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as port:
        with running_proxy(tmp_path, port, "127.0.0.2") as proxy:
            async with httpx.AsyncClient(headers={"X-API-Key": "sec-key", "Authorization": "Bearer sec-auth"}) as http:
                for path in ("/files/sec-token/a.png", "/webhooks/replicate/sec-hook", "/api/x?sig=sec-query"):
                    await http.get(f"{proxy.url}{path}", headers={"X-Request-ID": "shown"})
        lines = [json.loads(line) for line in proxy.log.read_text().splitlines()]

    assert "sec-" not in proxy.log.read_text()
    shown = [
        (line["request"]["uri"], line["request_id"]) for line in lines if "http.log.access" in line.get("logger", "")
    ]
    assert shown == [("/files/", "shown"), ("/webhooks/", "shown"), ("/api/x", "shown")]


@pytest.mark.parametrize("tls", ["internal", "files"])
async def test_tls_by_one_setting(tls: str, tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with server_that(answer) as port:
        with running_proxy(tmp_path / "authority", port, "127.0.0.2", tls="internal") as proxy:
            certificates = proxy.data / "caddy" / "certificates" / "local" / "localhost"
            wait_until((certificates / "localhost.key").exists)
            trusted = proxy.trust()
            if tls == "internal":
                await check_tls(proxy.url, trusted)
                return
            folder = tmp_path / "own"
            folder.mkdir()
            await asyncio.to_thread(_copy, certificates, folder)
        with running_proxy(tmp_path / "files", port, "127.0.0.2", tls="files", TLS_FOLDER=str(folder)) as proxy:
            await check_tls(proxy.url, trusted)


async def check_tls(url: str, trusted: ssl.SSLContext) -> None:
    async with httpx.AsyncClient(verify=trusted) as http:
        assert (await http.get(url)).text == "ok"
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as http:
            await http.get(url)


def _copy(certificates: Path, folder: Path) -> None:
    (folder / "cert.pem").write_bytes((certificates / "localhost.crt").read_bytes())
    (folder / "key.pem").write_bytes((certificates / "localhost.key").read_bytes())
