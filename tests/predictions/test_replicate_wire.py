"""The client against servers that control every byte of their responses."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from app.predictions.protocol import (
    PredictionError,
    PredictionRejectedError,
    PredictionThrottledError,
    PredictionUnavailableError,
    PredictionUncertainError,
)
from app.predictions.replicate import ReplicateClient
from tests.chat_models.raw_server import Connection, RawServer, always, raw_server, response
from tests.predictions.test_replicate import LONG_AGO, create

TOKEN = "r8_0123456789abcdefghij"
PREDICTION = {"id": "ufawqhfynnddngldkgtslldrkq", "status": "starting", "created_at": "2026-03-01T12:00:00Z"}
METHODS = ["create", "get", "cancel", "recent"]


@asynccontextmanager
async def client_of(server: RawServer) -> AsyncIterator[ReplicateClient]:
    client = ReplicateClient(server.url, TOKEN)
    try:
        yield client
    finally:
        await client.close()


async def call(client: ReplicateClient, method: str) -> Any:
    match method:
        case "create":
            return await create(client)
        case "get":
            return await client.get("x")
        case "cancel":
            return await client.cancel("x")
        case _:
            return await anext(client.recent(LONG_AGO))


def expected(method: str) -> type[PredictionError]:
    """The error of a call that was sent and got no usable response."""
    return PredictionUncertainError if method == "create" else PredictionUnavailableError


async def fails(server: RawServer, method: str) -> PredictionError:
    async with client_of(server) as client:
        with pytest.raises(PredictionError) as failed:
            await call(client, method)
    return failed.value


async def test_a_create_sends_all_parameters_and_nothing_else() -> None:
    created = response(json.dumps(PREDICTION).encode(), status="201 Created")
    prompt = {"prompt": "ein Schiff, größer"}

    async with raw_server(always(created)) as server, client_of(server) as client:
        await client.create(model="owner/name", input=prompt, webhook="https://x.test/w", cancel_after=90)

    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))}
    assert head.startswith(b"POST /v1/predictions HTTP/1.1\r\n")
    assert headers[b"authorization"] == f"Bearer {TOKEN}".encode()
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"cancel-after"] == b"90s"
    assert b"prefer" not in headers
    assert json.loads(body) == {
        "version": "owner/name",
        "input": prompt,
        "webhook": "https://x.test/w",
        "webhook_events_filter": ["completed"],
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
async def test_an_input_that_json_cannot_express_is_not_sent(value: Any) -> None:
    async with raw_server(always()) as server, client_of(server) as client:
        with pytest.raises(PredictionRejectedError):
            await create(client, input={"guidance": value})

    assert server.requests == []


@pytest.mark.parametrize("method", METHODS)
async def test_if_the_vendor_is_away_the_create_was_certainly_not_accepted(method: str) -> None:
    async with raw_server(always()) as server:
        pass

    assert type(await fails(server, method)) is PredictionUnavailableError


@pytest.mark.parametrize("host", ["http://no-such-host.invalid", "ftp://127.0.0.1"])
async def test_if_the_address_does_not_exist_the_create_was_certainly_not_accepted(host: str) -> None:
    assert type(await fails(RawServer(host), "create")) is PredictionUnavailableError


@pytest.mark.parametrize("method", METHODS)
async def test_if_the_connection_ends_without_a_response_the_create_may_have_been_accepted(method: str) -> None:
    async with raw_server(always(is_closed=True)) as server:
        error = await fails(server, method)

    assert type(error) is expected(method)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{", id="half a response"),
        pytest.param(response(b"<html></html>"), id="HTML"),
        pytest.param(response(b""), id="nothing"),
        pytest.param(response(b"[]"), id="a list"),
        pytest.param(response(b'{"id": "x"}'), id="no prediction and no page"),
        pytest.param(response(b"", status="303 See Other", headers=b"Location: /elsewhere\r\n"), id="a redirect"),
        pytest.param(b"HTTP/1.1 500 Error\r\nContent-Length: 500\r\n\r\n<", id="half a refusal"),
        pytest.param(response(b"not compressed", headers=b"Content-Encoding: gzip\r\n"), id="broken compression"),
        pytest.param(response(b" " * 33_000_000), id="very large"),
        pytest.param(response(b'{"results": [], "next": "http://["}'), id="a next page that is nowhere"),
        pytest.param(b"SSH-2.0-OpenSSH_9.7\r\n", id="another protocol"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
async def test_an_unusable_response_counts_as_no_response(method: str, raw: bytes) -> None:
    async with raw_server(always(raw, is_closed=True)) as server:
        error = await fails(server, method)

    assert type(error) is expected(method)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
@pytest.mark.parametrize("method", METHODS)
async def test_the_token_is_not_sent_to_the_target_of_a_redirect(method: str, status: str) -> None:
    async with raw_server(always(response(b"{}"))) as elsewhere:
        headers = f"Location: {elsewhere.url}/v1/predictions\r\n".encode()
        async with raw_server(always(response(b"", status=status, headers=headers))) as server:
            await fails(server, method)

    assert elsewhere.requests == []


async def test_the_token_is_not_sent_to_a_next_page_on_another_host() -> None:
    async def respond(connection: Connection, request: bytes) -> None:
        is_first = len(server.requests) == 1
        link = f"{elsewhere.url}/v1/predictions?cursor=2" if is_first else None
        await connection.send(response(json.dumps({"results": [PREDICTION], "next": link}).encode()))

    async with raw_server(always()) as elsewhere, raw_server(respond) as server, client_of(server) as client:
        recent = [prediction.id async for prediction in client.recent(LONG_AGO)]

    assert recent == [PREDICTION["id"]] * 2
    assert server.requests[1].startswith(b"GET /v1/predictions?cursor=2 HTTP/1.1\r\n")
    assert elsewhere.requests == []


async def test_recent_runs_end_at_older_ones_even_if_the_vendor_ignores_the_time_filter() -> None:
    older = {**PREDICTION, "created_at": "2026-03-01T11:00:00Z"}
    page = {"results": [PREDICTION, older, PREDICTION], "next": "https://x.test/v1/predictions?cursor=2"}

    async with raw_server(always(response(json.dumps(page).encode()))) as server, client_of(server) as client:
        half_past = datetime(2026, 3, 1, 12, 30, tzinfo=timezone(timedelta(hours=1)))
        recent = [prediction.id async for prediction in client.recent(half_past)]

    assert recent == [PREDICTION["id"]]
    [request] = server.requests
    assert request.startswith(b"GET /v1/predictions?created_after=2026-03-01T11%3A30%3A00%2B00%3A00 HTTP/1.1\r\n")


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable", "504 Gateway Timeout"])
async def test_a_get_that_is_refused_temporarily_is_not_repeated(status: str) -> None:
    async with raw_server(always(response(b"{}", status=status, headers=b"Retry-After: 30\r\n"))) as server:
        error = await fails(server, "get")

    assert type(error) is (PredictionThrottledError if status.startswith("429") else PredictionUnavailableError)
    assert len(server.requests) == 1


async def test_a_truncated_refusal_is_still_a_refusal() -> None:
    raw = b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 500\r\n\r\n{"

    async with raw_server(always(raw, is_closed=True)) as server:
        error = await fails(server, "create")

    assert type(error) is PredictionRejectedError


async def test_the_token_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"detail": f"Invalid input, token {TOKEN}."}).encode()

    with caplog.at_level(logging.DEBUG):
        async with raw_server(always(response(body, status="400 Bad Request"))) as server:
            error = await fails(server, "create")

    assert error.text == "Invalid input, token [redacted]."
    assert TOKEN not in caplog.text


async def test_calls_share_a_connection_after_successes_and_refusals() -> None:
    async def respond(connection: Connection, request: bytes) -> None:
        is_refused = len(server.requests) == 1
        body = json.dumps(PREDICTION).encode()
        await connection.send(response(b"{}", status="404 Not Found") if is_refused else response(body))

    async with raw_server(respond) as server, client_of(server) as client:
        with pytest.raises(PredictionError):
            await client.get("x")
        await client.get("x")
        await create(client)

    assert (len(server.connections), len(server.requests)) == (1, 3)


async def test_cancelling_a_call_closes_its_connection() -> None:
    asked, hung_up = asyncio.Event(), asyncio.Event()

    async def respond(connection: Connection, request: bytes) -> None:
        asked.set()
        assert await connection.reader.read() == b""
        hung_up.set()

    async with raw_server(respond) as server, client_of(server) as client:
        waiting = asyncio.create_task(call(client, "get"))
        await asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await hung_up.wait()
