"""How the client treats responses that only a server which controls every byte can send."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import ChatModelClient
from app.chat_models.sse_reader import MAX_EVENT_BYTES
from app.core.errors import ProviderError, ProviderRateLimitedError, ProviderUnavailableError
from tests.chat_models.raw_server import LAST_CHUNK, SSE_HEAD, Connection, always, chunk, raw_server, response
from tests.chat_models.taking import Taken
from tests.chat_models.wire import COMPLETION, DONE, HELLO, STOP, complete, stream, upstream

# JSON in which the model's reply has more levels than can be written.
DEEP = b'{"choices": [{"%b": {"content": "words"}, "logprobs": {"content": ' + b"[" * 300 + b"]" * 300 + b"}}]}"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>maintenance</html>", id="HTML"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(COMPLETION[:-1], id="JSON that is cut"),
        pytest.param(b'{"error": {"message": "overloaded"}}', id="an error"),
        pytest.param(b"{}", id="no choices"),
        pytest.param(b'{"choices": []}', id="an empty list of choices"),
        pytest.param(b'{"choices": [{"text": "x"}]}', id="no message"),
        pytest.param(b"[" * 100_000, id="JSON that is nested too deeply"),
        pytest.param(DEEP % b"message", id="a message that is nested too deeply"),
    ],
)
async def test_a_200_without_a_completion_is_a_failure(client: ChatModelClient, body: bytes) -> None:
    async with raw_server(always(response(body))) as server:
        with pytest.raises(ProviderError):
            await complete(client, server)


@pytest.mark.parametrize("ending", [b"", b"data: [DONE]\n\n"])
async def test_a_delta_that_is_nested_too_deeply_is_a_failure(client: ChatModelClient, ending: bytes) -> None:
    """It could neither be sent to the client nor stored."""
    async with raw_server(always(response(b"data: %b\n\n%b" % (DEEP % b"delta", ending)))) as server:
        with pytest.raises(ProviderError, match="too deeply"):
            await stream(client, server)


async def test_numbers_that_json_does_not_allow_become_null(client: ChatModelClient) -> None:
    body = b'{"choices": [{"message": {}, "logprobs": [-Infinity]}], "usage": {"prompt_tokens": NaN}}'

    async with raw_server(always(response(body))) as server:
        completion = await complete(client, server)

    choice = {"delta": {}, "logprobs": [None], "finish_reason": "stop"}
    assert completion == [{"choices": [choice], "usage": {"prompt_tokens": None}}]


@pytest.mark.parametrize("method", [complete, stream])
async def test_a_failure_is_logged_without_the_key(
    client: ChatModelClient, caplog: pytest.LogCaptureFixture, method: Any
) -> None:
    """If the response is not HTTP, the library's own error text holds the headers of the request."""
    async with raw_server(always(b"SSH-2.0-OpenSSH_9.7\r\n\r\n")) as server:
        with pytest.raises(ProviderError):
            await method(client, server)

    assert caplog.messages == ["upstream_failed"]
    assert "sk-wire" not in str(vars(caplog.records[0]))


@pytest.mark.parametrize(("method", "head"), [(complete, b""), (stream, b"data: ")])
async def test_an_error_with_status_200_is_logged_without_the_key(
    client: ChatModelClient, caplog: pytest.LogCaptureFixture, method: Any, head: bytes
) -> None:
    error = head + b'{"error": {"message": "no more room for sk-wire-0123456789"}}\n\n'

    async with raw_server(always(response(error))) as server:
        with pytest.raises(ProviderError):
            await method(client, server)

    assert caplog.messages == ["upstream_refused"]
    assert vars(caplog.records[0])["reason"] == "no more room for [redacted]"


@pytest.mark.parametrize("method", [complete, stream])
async def test_a_refused_parameter_is_named(client: ChatModelClient, method: Any) -> None:
    body = b'{"error": {"message": "too hot for sk-wire-0123456789", "param": "temperature"}}'

    async with raw_server(always(response(body, status="400 Bad Request"))) as server:
        with pytest.raises(UpstreamRejectedError) as refused:
            await method(client, server)

    assert (refused.value.text, refused.value.param) == ("too hot for [redacted]", "temperature")


async def test_a_refusal_that_never_ends_is_not_read_to_its_end(client: ChatModelClient) -> None:
    head = b"HTTP/1.1 422 Unprocessable\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def respond(connection: Connection, request: bytes) -> None:
        await connection.send(head)
        while True:
            await connection.send(chunk(b"x" * 65536))

    async with raw_server(respond) as server:
        with pytest.raises(UpstreamRejectedError):
            await complete(client, server)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([HELLO], id="the end of the body"),
        pytest.param([HELLO.replace(b'"Hello"', b'""'), DONE], id="[DONE] without a word"),
        pytest.param([HELLO, b"data: {"], id="half an event"),
        pytest.param([HELLO, STOP.rstrip()[:-1]], id="an event that was cut"),
        pytest.param([HELLO, b"data: {]\n\n", STOP], id="no JSON"),
        pytest.param([HELLO, b"data: 7\n\n", STOP], id="JSON that is no object"),
        pytest.param([HELLO, b'data: {"error": {"message": "x"}}\n\n', STOP], id="an error"),
        pytest.param([HELLO, b"data: " + b"x" * MAX_EVENT_BYTES + b"\n\n", STOP], id="an event that is too long"),
    ],
)
async def test_a_stream_that_fails_raises_an_error(client: ChatModelClient, body: Sequence[bytes]) -> None:
    async with raw_server(always(SSE_HEAD, *map(chunk, body), LAST_CHUNK)) as server:
        taken = Taken()
        with pytest.raises(ProviderError):
            await client.stream(upstream(server), {"messages": []}, taken.take, timeout=30)

    assert taken.chunks[0]["choices"][0]["delta"].keys() == {"content"}
    assert len(taken.chunks) == 1


@pytest.mark.parametrize("body", [b"<html></html>", b'{"choices": []}', COMPLETION[:-1], b""])
async def test_a_200_without_a_stream_is_a_failure(client: ChatModelClient, body: bytes) -> None:
    async with raw_server(always(response(body))) as server:
        with pytest.raises(ProviderError):
            await stream(client, server)


async def test_a_connection_cut_before_the_finish_is_a_failure(client: ChatModelClient) -> None:
    async with raw_server(always(SSE_HEAD, chunk(HELLO), is_closed=True)) as server:
        with pytest.raises(ProviderError):
            await stream(client, server)


async def test_an_answer_is_whole_if_the_connection_is_cut_after_the_finish(client: ChatModelClient) -> None:
    async with raw_server(always(SSE_HEAD, chunk(HELLO), chunk(STOP), is_closed=True)) as server:
        chunks = await stream(client, server)

    assert len(chunks) == 2


@pytest.mark.parametrize("choices", ["null", "{}", "[]", '["x"]', '[{"finish_reason": null}]', "7"])
async def test_choices_of_any_shape_are_passed_on(client: ChatModelClient, choices: str) -> None:
    odd = f'data: {{"choices": {choices}}}\n\n'.encode()

    async with raw_server(always(SSE_HEAD, chunk(odd), chunk(STOP), LAST_CHUNK)) as server:
        chunks = await stream(client, server)

    assert chunks[0] == {"choices": json.loads(choices)}


WHOLE = {"choices": [{"delta": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}
MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("method", [complete, stream])
@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "299 Odd"])
@pytest.mark.parametrize("begin", [b"", b"\n\n ", MARK])
async def test_a_completion_is_an_answer_with_any_status_of_success_and_whatever_was_asked_for(
    client: ChatModelClient, method: Any, status: str, begin: bytes
) -> None:
    async with raw_server(always(response(begin + COMPLETION, status=status))) as server:
        assert await method(client, server) == [WHOLE]


@pytest.mark.parametrize("method", [complete, stream])
@pytest.mark.parametrize("begin", [b"", b": ok\n\n", b"event: message\n", MARK])
@pytest.mark.parametrize("kind", [b"text/event-stream", b"application/json", b"text/plain"])
async def test_a_stream_is_an_answer_whatever_was_asked_for(
    client: ChatModelClient, method: Any, begin: bytes, kind: bytes
) -> None:
    body = begin + HELLO + STOP + DONE
    async with raw_server(always(response(body, headers=b"Content-Type: " + kind + b"\r\n"))) as server:
        chunks = await method(client, server)

    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [{"content": "Hello"}, {}]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(HELLO + STOP.rstrip(), id="the last event was not ended"),
        pytest.param(HELLO + STOP.strip() + b"\n", id="only its line was"),
        pytest.param((HELLO + STOP + DONE).replace(b"\n\n", b"\n"), id="no blank lines"),
        pytest.param((HELLO + STOP + DONE).replace(b"\n", b"\r"), id="CR"),
        pytest.param((HELLO + STOP + DONE).replace(b"\n", b"\r\n"), id="CR LF"),
        pytest.param(HELLO + DONE, id="no reason but [DONE]"),
        pytest.param(HELLO + DONE.rstrip(), id="[DONE] was not ended"),
        pytest.param(HELLO.replace(b"null", b'"null"') + STOP, id="a text for null"),
        pytest.param(HELLO + STOP + b"data: [done]\n\n", id="[DONE] in other letters"),
        pytest.param(b"data: ping\n\n" + HELLO + b"event: ping\ndata: null\n\n" + STOP + DONE, id="signs of life"),
        pytest.param(
            HELLO.replace(b"{", b'{"error":{"code":0,"message":""},', 1) + STOP, id="an error without anything"
        ),
        pytest.param(b'data: {"code":0,"message":"Success","choices":[]}\n\n' + HELLO + STOP, id="a success in words"),
        pytest.param(b"data: " + COMPLETION + b"\n\n", id="a completion as an event"),
        pytest.param(HELLO + b"data: " + COMPLETION + b"\n\n", id="a completion that repeats the deltas"),
        pytest.param(HELLO + STOP + b"data: {garbage\n\n" + DONE, id="garbage after the reason"),
    ],
)
@pytest.mark.parametrize("is_closed", [True, False])
async def test_an_answer_is_whole_in_every_form_of_a_stream(
    client: ChatModelClient, body: bytes, is_closed: bool
) -> None:
    """With `is_closed` the connection is cut in the middle of the body."""
    pieces = [SSE_HEAD, chunk(body), b"" if is_closed else LAST_CHUNK]

    async with raw_server(always(*pieces, is_closed=is_closed)) as server:
        chunks = await stream(client, server)

    choices = [choice for each in chunks for choice in each["choices"]]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == "Hello"
    assert choices[-1]["finish_reason"] == "stop"


async def test_a_field_of_the_head_may_be_as_long_as_gateways_write_them(client: ChatModelClient) -> None:
    head = b"Set-Cookie: session=" + b"a" * 20_000 + b"\r\n"

    async with raw_server(always(response(HELLO + STOP + DONE, headers=head))) as server:
        chunks = await stream(client, server)

    assert len(chunks) == 2


async def test_what_only_the_completion_at_the_end_of_a_stream_has_is_not_lost(client: ChatModelClient) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Hello", "tool_calls": [call]}
    whole = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": {"total_tokens": 3}})

    async with raw_server(always(response(HELLO + b"data: " + whole.encode() + b"\n\n" + DONE))) as server:
        first, last = await stream(client, server)

    assert first["choices"][0]["delta"] == {"content": "Hello"}
    assert last["choices"][0]["delta"] == {"role": "assistant", "tool_calls": [{**call, "index": 0}]}
    assert last["usage"] == {"total_tokens": 3}


@pytest.mark.parametrize(
    ("reports", "last"),
    [
        pytest.param([b'"usage":{"prompt_tokens":1}', b'"choices":[]'], {"prompt_tokens": 1}, id="at the end"),
        pytest.param([b'"usage":{"prompt_tokens":1}', HELLO[7:-3]], None, id="before a word"),
    ],
)
async def test_an_end_without_a_reason_has_the_usage_that_came_after_the_last_word(
    client: ChatModelClient, reports: list[bytes], last: Any
) -> None:
    events = [HELLO, *(b"data: {" + report + b"}\n\n" for report in reports), DONE]

    async with raw_server(always(response(b"".join(events)))) as server:
        chunks = await stream(client, server)

    assert chunks[-1] == {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": last}


ERRORS = [
    {"error": "no room"},
    {"error": {"message": "no room", "code": 500}},
    {"error": {"message": "no room"}, "choices": []},
    [{"error": {"message": "no room", "status": "INTERNAL"}}],
    {"detail": "no room"},
    {"detail": [{"loc": ["body"], "msg": "no room"}]},
    {"message": "no room"},
    {"object": "error", "message": "no room", "type": "InternalServerError", "code": 500},
    {"type": "error", "error": {"type": "api_error", "message": "no room"}},
    {"errors": [{"message": "no room"}]},
    {"choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "no room"}}]},
    {"choices": [{"delta": {}, "finish_reason": None}], "x_groq": {"id": "r", "error": "no room"}},
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("begin", "end"),
    [(b"data: ", b"\n\n"), (HELLO + b"data: ", b"\n\n"), (b"", b""), (HELLO + b"data: ", b""), (HELLO, b"\n")],
)
async def test_an_error_within_an_answer_is_found_and_logged_in_any_form(
    client: ChatModelClient, caplog: pytest.LogCaptureFixture, error: Any, begin: bytes, end: bytes
) -> None:
    async with raw_server(always(response(begin + json.dumps(error).encode() + end))) as server:
        with pytest.raises(ProviderError):
            await stream(client, server)

    assert caplog.messages == ["upstream_refused"]
    assert "no room" in vars(caplog.records[0])["reason"]


@pytest.mark.parametrize(("code", "kind"), [(429, ProviderRateLimitedError), (503, ProviderUnavailableError)])
@pytest.mark.parametrize("begin", [b"", HELLO])
async def test_an_error_within_an_answer_means_what_its_code_says_before_the_first_word(
    client: ChatModelClient, code: int, kind: type, begin: bytes
) -> None:
    error = json.dumps({"error": {"message": "busy", "code": code}}).encode()

    async with raw_server(always(response(begin + b"data: " + error + b"\n\n"))) as server:
        with pytest.raises(ProviderError if begin else kind):
            await stream(client, server)


async def test_an_overloaded_upstream_that_asks_for_a_long_wait_is_not_asked_again(client: ChatModelClient) -> None:
    busy = response(b"", status="503 Busy", headers=b"Retry-After: 30\r\n")

    async with raw_server(always(busy)) as server:
        with pytest.raises(ProviderUnavailableError) as failed:
            await complete(client, server)

    assert len(server.requests) == 1
    assert failed.value.headers() == {"Retry-After": "30"}
