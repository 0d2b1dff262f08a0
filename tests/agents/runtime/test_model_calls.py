"""What a call tells its meter: when the answer began, what arrived, and whether the report of its usage is final."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import orjson
import pytest

from app.agents.runtime.answer import Answer
from app.agents.runtime.events import Delta, unheard
from app.agents.runtime.model_calls import ModelCalls, ModelRoute
from app.chat_models.client import open_chat_model_client
from app.chat_models.patience import StreamPatience
from app.chat_models.protocol import MAX_ANSWER_BYTES, ChatModelClient, JsonObject, Upstream, Usage
from app.core.errors import ProviderError, ProviderTimeoutError
from tests.chat_models.raw_server import LAST_CHUNK, SSE_HEAD, always, chunk, raw_server, response

Settled = tuple[Usage | None, int, bool]

ROLE: JsonObject = {"choices": [{"delta": {"role": "assistant", "content": ""}}]}
HELLO: JsonObject = {"choices": [{"delta": {"content": "Hello"}}]}
HELLO_EVENT = b"data: " + orjson.dumps(HELLO) + b"\n\n"
STOP: JsonObject = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


def report(prompt_tokens: int, completion_tokens: int) -> JsonObject:
    return {"usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}}


@dataclass
class RecordingMeter:
    """A meter, and its only call, that keep what they are told."""

    heard: list[str | Settled] = field(default_factory=list)
    opened: list[tuple[str, str, JsonObject]] = field(default_factory=list)

    async def open_call(self, agent: str, model: str, body: JsonObject) -> "RecordingMeter":
        self.opened.append((agent, model, body))
        self.heard.append("opened")
        return self

    @property
    def body(self) -> JsonObject:
        return self.opened[-1][2]

    def began_answering(self) -> None:
        self.heard.append("began")

    def delivered(self, delivered_bytes: int) -> None:
        pass

    def settle(self, reported: Usage | None, delivered_bytes: int, *, is_final: bool) -> None:
        self.heard.append((reported, delivered_bytes, is_final))


@pytest.fixture
async def client() -> AsyncIterator[ChatModelClient]:
    client = open_chat_model_client()
    yield client
    await client.close()


class Reader:
    """Takes what is said. One that `leaves` never takes a second piece: its call is cancelled."""

    def __init__(self, *, leaves: bool = False) -> None:
        self._leaves = leaves
        self.has_left = asyncio.Event()

    async def say(self, _: Sequence[Delta]) -> None:
        if self._leaves:
            self.has_left.set()
            await asyncio.Event().wait()


async def heard_of(
    client: ChatModelClient, *pieces: bytes, is_streamed: bool = True, leaves: bool = False
) -> list[object]:
    """What the meter hears of one call that gets these bytes, and whose reader may leave at the first piece."""
    meter = RecordingMeter()
    async with raw_server(always(*pieces, is_closed=True)) as server:
        routes = {"m": ModelRoute(Upstream(server.url, ""), "m", 100)}
        calls = ModelCalls(client, routes, meter, timeout=30)
        reader = Reader(leaves=leaves)
        call = asyncio.create_task(
            calls.call("a", "m", {"messages": []}, Answer(()), reader.say if is_streamed else None)
        )
        if leaves:
            await reader.has_left.wait()
            call.cancel()
        with suppress(ProviderError, asyncio.CancelledError):
            await call
    return list(meter.heard)


def events(*bodies: JsonObject) -> bytes:
    return SSE_HEAD + b"".join(chunk(b"data: " + orjson.dumps(body) + b"\n\n") for body in bodies)


async def test_an_answer_begins_with_its_first_token(client: ChatModelClient) -> None:
    heard = await heard_of(client, events(ROLE, HELLO, HELLO, STOP | report(3, 2)) + LAST_CHUNK)

    assert heard == ["opened", "began", (Usage(3, 2), 10, True)]


async def test_an_answer_that_never_began_is_settled_too(client: ChatModelClient) -> None:
    assert await heard_of(client, events(ROLE)) == ["opened", (None, 0, False)]


@pytest.mark.parametrize("words", [1, 2])
async def test_a_report_is_not_final_if_the_reader_leaves_before_the_end(client: ChatModelClient, words: int) -> None:
    """All that has arrived together with what the reader left at is delivered."""
    heard = await heard_of(client, events(ROLE | report(3, 1), *[HELLO] * words), leaves=True)

    assert heard == ["opened", "began", (Usage(3, 1), 5 * words, False)]


async def test_a_report_with_the_end_is_final_though_the_connection_is_lost_then(client: ChatModelClient) -> None:
    heard = await heard_of(client, events(HELLO, STOP, {"choices": [], **report(3, 2)}))

    assert heard == ["opened", "began", (Usage(3, 2), 5, True)]


async def test_a_whole_completion_has_no_first_token(client: ChatModelClient) -> None:
    body = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], **report(3, 2)}

    heard = await heard_of(client, response(orjson.dumps(body)), is_streamed=False)

    assert heard == ["opened", (Usage(3, 2), 5, True)]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_an_answer_that_is_too_long_ends_and_is_settled_for_what_was_taken_of_it(
    client: ChatModelClient, is_streamed: bool
) -> None:
    piece: JsonObject = {"choices": [{"delta": {"content": "x" * 900_000}}]}
    taken = 900_000 * (MAX_ANSWER_BYTES // 900_000 + 1)

    heard = await heard_of(client, events(*[piece] * 40, STOP) + LAST_CHUNK, is_streamed=is_streamed)

    # What was not asked for as a stream is refused whole: nobody has seen anything of it.
    assert heard == (["opened", "began", (None, taken, False)] if is_streamed else ["opened", (None, 0, False)])


async def test_an_answer_that_was_not_asked_for_as_a_stream_is_free_if_it_ends_with_an_error(
    client: ChatModelClient,
) -> None:
    failed = {"choices": [{"delta": {}, "finish_reason": "error"}], **report(3, 2)}

    heard = await heard_of(client, events(HELLO, failed) + LAST_CHUNK, is_streamed=False)

    assert heard == ["opened", (None, 0, False)]


@pytest.mark.parametrize("first", [b"", b": comment\n\n"])
async def test_a_model_that_is_silent_for_too_long_is_left(client: ChatModelClient, first: bytes) -> None:
    heard = []
    for patience, sent in ((StreamPatience(first_event=0.05), b""), (StreamPatience(between_events=0.05), HELLO_EVENT)):
        meter = RecordingMeter()
        async with raw_server(always(SSE_HEAD, *(chunk(piece) for piece in (first, sent) if piece))) as server:
            routes = {"m": ModelRoute(Upstream(server.url, ""), "m", 100)}
            calls = ModelCalls(client, routes, meter, timeout=30, patience=patience)
            with pytest.raises(ProviderTimeoutError):
                await calls.call("a", "m", {"messages": []}, Answer(()), unheard)
        heard.append(meter.heard[-1])

    assert heard == [(None, 0, False), (None, 5, False)]


async def test_the_time_that_the_reader_takes_is_not_the_models(client: ChatModelClient) -> None:
    patience = StreamPatience(first_event=5, between_events=0.05)
    async with raw_server(always(events(HELLO, HELLO, STOP) + LAST_CHUNK)) as server:
        routes = {"m": ModelRoute(Upstream(server.url, ""), "m", 100)}
        calls = ModelCalls(client, routes, RecordingMeter(), timeout=30, patience=patience)
        answer = Answer(())

        async def read_slowly(_: Sequence[Delta]) -> None:
            await asyncio.sleep(0.06)

        await calls.call("a", "m", {"messages": []}, answer, read_slowly)

    assert answer.text == "HelloHello"
