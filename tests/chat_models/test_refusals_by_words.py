"""Refusals whose status says that something else has happened. Their words decide."""

import json

import pytest

from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import ChatModelClient
from app.core.errors import ProviderError
from tests.chat_models.raw_server import LAST_CHUNK, SSE_HEAD, Connection, always, chunk, raw_server, response
from tests.chat_models.wire import DONE, HELLO, STOP, complete, sent_body, stream


@pytest.mark.parametrize("status", [404, 424, 500, 501])
async def test_what_the_server_has_added_is_left_out_if_it_is_refused_with_any_status(
    client: ChatModelClient, status: int
) -> None:
    """Some servers let an exception of their own parser become a 500."""
    told = json.dumps({"detail": "create() got an unexpected keyword argument 'stream_options'"}).encode()

    async def answer(connection: Connection, request: bytes) -> None:
        if "stream_options" in sent_body(request):
            await connection.send(response(told, status=f"{status} Refused"))
        else:
            await connection.send(SSE_HEAD + chunk(HELLO + STOP + DONE) + LAST_CHUNK)

    async with raw_server(answer) as server:
        chunks = await stream(client, server)

    assert chunks[0]["choices"][0]["delta"] == {"content": "Hello"}
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("tools param requires --jinja flag", UpstreamRejectedError),
        ("No endpoints found that support tool use.", UpstreamRejectedError),
        ("The model `m` does not exist", ProviderError),
        ("The server had an error while it ran tools", ProviderError),
        ("", ProviderError),
    ],
)
async def test_only_its_words_make_a_failure_a_refusal_of_tools(
    client: ChatModelClient, status: int, told: str, kind: type[Exception]
) -> None:
    body = json.dumps({"error": {"message": told}}).encode()

    async with raw_server(always(response(body, status=f"{status} Failed"))) as server:
        with pytest.raises(kind):
            await complete(client, server, tools=[{}])

    assert len(server.requests) == 1
