"""What the client sends, and to which URL."""

from typing import Any

import pytest

from app.chat_models.protocol import ChatModelClient, JsonObject, Upstream
from app.core.errors import ProviderError
from tests.chat_models.raw_server import LAST_CHUNK, SSE_HEAD, always, chunk, raw_server, response
from tests.chat_models.wire import COMPLETION, DONE, STOP, complete, sent_body, stream, upstream


async def test_a_request_for_a_completion_has_no_stream_options(client: ChatModelClient) -> None:
    async with raw_server(always(response(COMPLETION))) as server:
        await complete(client, server, model="m", stream=True, stream_options={"include_usage": True})

    head, _, _ = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer sk-wire-0123456789" in head
    assert b"\r\nContent-Type: application/json" in head
    assert sent_body(server.requests[0]) == {"messages": [], "model": "m"}


@pytest.mark.parametrize(
    "options", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False, "x": 1}}]
)
async def test_a_stream_always_asks_for_its_usage(client: ChatModelClient, options: JsonObject) -> None:
    async with raw_server(always(SSE_HEAD, chunk(STOP + DONE), LAST_CHUNK)) as server:
        await stream(client, server, **options)

    body = sent_body(server.requests[0])
    assert body["stream"] is True
    assert body["stream_options"] == {**(options.get("stream_options") or {}), "include_usage": True}


async def test_an_upstream_without_a_key_gets_no_authorization(client: ChatModelClient) -> None:
    async with raw_server(always(response(COMPLETION))) as server:
        await client.complete(upstream(server, api_key=""), {"messages": []}, timeout=30)

    assert b"authorization" not in server.requests[0].lower()


async def test_a_request_of_several_megabytes_arrives_whole(client: ChatModelClient) -> None:
    image = "data:image/png;base64," + "A" * 3_000_000

    async with raw_server(always(response(COMPLETION))) as server:
        await complete(client, server, image=image)

    assert sent_body(server.requests[0])["image"] == image


@pytest.mark.parametrize("method", [complete, stream])
@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
async def test_a_redirect_is_not_followed(client: ChatModelClient, method: Any, status: str) -> None:
    async with raw_server(always(response(COMPLETION))) as elsewhere:
        location = f"Location: {elsewhere.url}/v1/chat/completions\r\n".encode()
        async with raw_server(always(response(COMPLETION, status=status, headers=location))) as server:
            with pytest.raises(ProviderError):
                await method(client, server)

    assert (len(server.requests), len(elsewhere.requests)) == (1, 0)


async def test_a_cookie_of_one_response_is_not_sent_with_the_next_request(client: ChatModelClient) -> None:
    async with raw_server(always(response(COMPLETION, headers=b"Set-Cookie: account=1\r\n"))) as server:
        # No cookie jar accepts cookies from a bare IP address.
        named = Upstream(server.url.replace("127.0.0.1", "localhost"), api_key="")
        for _ in range(2):
            await client.complete(named, {"messages": []}, timeout=30)

    assert b"cookie" not in server.requests[1].lower()
