"""Answers that no sensible model gives: the client gets an answer or an error, never a broken stream."""

from typing import Any

import httpx
import orjson
import pytest

from app.core.database import Database
from tests.chat.asking import answer_of, ask, ask_to_stream, conversation, opened_stream, stream, text_of
from tests.chat.books import books_of, charged, estimate_of
from tests.chat.odd_model import FINISH, OddModel, calls, make_odd_host, says
from tests.chat.openai.grammar import check_error
from tests.chat.tools import WEATHER
from tests.factories import Organization


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_odd_host(database)


def chunks_of(raw: bytes) -> list[dict[str, Any]]:
    """Those chunks of a stream that have a choice."""
    events = [line.removeprefix(b"data: ") for line in raw.split(b"\n") if line.startswith(b"data: {")]
    return [chunk for chunk in map(orjson.loads, events) if chunk.get("choices")]


@pytest.mark.parametrize(
    "odd",
    [
        [7],
        ["text"],
        [[]],
        says(7),
        says("text"),
        says({"content": 7}),
        says({"content": {"text": "a"}}),
        says({"content": [7]}),
        says({"content": "a", "tool_calls": 7}),
        says({"tool_calls": ["call"]}),
        says({"tool_calls": [{"index": 0, "function": "f"}]}),
        calls(7),
        calls("get_weather", id=[7]),
    ],
)
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_an_answer_of_unknown_form_is_a_provider_error(
    tuned: httpx.AsyncClient,
    database: Database,
    host: Organization,
    odd_model: OddModel,
    odd: list[Any],
    is_streamed: bool,
) -> None:
    odd_model.say([odd, FINISH] if is_streamed else [odd])

    response = await (ask_to_stream if is_streamed else ask)(tuned, host, "Hello", tools=[WEATHER])

    assert response.status_code == 502
    check_error(response.json()["error"])
    assert response.json()["error"]["code"] == "provider_error"
    assert (await books_of(database, host)).holds == ["voided"]


async def test_a_chunk_of_unknown_form_in_the_middle_is_an_error_frame(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel
) -> None:
    odd_model.say([says({"content": "Good "}), says({"content": 7}), FINISH])

    streamed = await stream(tuned, host, "Hello")

    assert streamed.text == "Good "
    assert streamed.error is not None
    assert streamed.error["code"] == "provider_error"


@pytest.mark.parametrize("quiet", [[], [{}], says(None), says({}), says({"content": None, "tool_calls": None})])
async def test_empty_chunks_are_skipped(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel, quiet: list[Any]
) -> None:
    odd_model.say([quiet, says({"content": "Good"}), quiet, says({}, "eos_token"), quiet])

    streamed = await stream(tuned, host, "Hello")

    assert (streamed.deltas, streamed.finish_reason) == ([{"content": "Good"}], "stop")


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "text", "text": "Good "}, {"type": "thinking", "thinking": "…"}, {"type": "text", "text": "day"}],
        [{"type": "text", "text": None}, {"type": "output_text", "text": "Good "}, {"text": "day"}],
        ["Good ", "day"],
    ],
)
async def test_content_in_parts_is_returned_as_text(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel, parts: list[Any], is_streamed: bool
) -> None:
    odd_model.say([says({"content": parts}, "stop")])

    text = (await stream(tuned, host, "Hello")).text if is_streamed else text_of(await answer_of(tuned, host, "Hello"))

    assert text == "Good day"


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_refusal_is_returned_as_a_refusal(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel, is_streamed: bool
) -> None:
    odd_model.say([says({"content": None, "refusal": "I cannot."}, "stop")])

    if is_streamed:
        streamed = await stream(tuned, host, "Hello", **conversation("ours"))
        assert streamed.deltas == [{"refusal": "I cannot."}]
    else:
        message = (await answer_of(tuned, host, "Hello", **conversation("ours")))["choices"][0]["message"]
        assert message == {"role": "assistant", "content": "", "refusal": "I cannot."}

    # The refusal does not break the next turn.
    odd_model.say([says({"content": "Good day"}, "stop")])
    await answer_of(tuned, host, "Hello again", **conversation("ours"))
    assert odd_model.requests[0]["messages"][1]["content"] == ""


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_the_models_reasoning_is_passed_on(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel, name: str
) -> None:
    thinks_and_calls = calls("poet", '{"request": 7}')
    thinks_and_calls[0]["delta"][name] = "Hm."
    odd_model.say([thinks_and_calls], [says({name: "So.", "content": "Good day"}, "stop")])
    whole = await answer_of(tuned, host, "Hello")
    # The reasoning before the call is sent back to the model.
    assert odd_model.requests[1]["messages"][1][name] == "Hm."

    odd_model.say([thinks_and_calls], [says({name: "So."}), says({"content": "Good day"}, "stop")])
    async with opened_stream(tuned, host, "Hello") as opened:
        await opened.read()

    thoughts = "Hm.\n\nSo."
    assert whole["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Good day",
        "reasoning_content": thoughts,
    }
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(opened.raw)]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == thoughts
    assert "".join(delta.get("content", "") for delta in deltas) == "Good day"


async def test_a_stream_that_breaks_off_during_the_reasoning_is_charged(
    tuned: httpx.AsyncClient, database: Database, host: Organization, odd_model: OddModel
) -> None:
    odd_model.say([says({"reasoning_content": "Let me think about this for a while."})])

    async with opened_stream(tuned, host, "Hello") as opened:
        await opened.read()

    assert b'"provider_error"' in opened.raw
    estimate = estimate_of(odd_model.requests[0], "Let me think about this for a while.")
    assert await books_of(database, host) == charged(estimate, is_estimated=True)


async def test_logprobs_of_another_form_are_left_out(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel
) -> None:
    odd_model.say([[{**says({"content": "Good"})[0], "logprobs": -0.5}], FINISH])

    async with opened_stream(tuned, host, "Hello", logprobs=True) as opened:
        await opened.read()

    assert [chunk["choices"][0]["logprobs"] for chunk in chunks_of(opened.raw)] == [None] * 3


async def test_logprobs_of_a_token_without_text_are_passed_on(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel
) -> None:
    """A token can be only a part of a character."""
    token = {"token": "\\xf0", "logprob": -0.5, "bytes": [240], "top_logprobs": []}
    chunk = {**says({"content": ""})[0], "logprobs": {"content": [token]}}
    odd_model.say([[chunk], says({"content": "🎈"}, "stop")])

    async with opened_stream(tuned, host, "Hello", logprobs=True) as opened:
        await opened.read()

    logprobs = [chunk["choices"][0]["logprobs"] for chunk in chunks_of(opened.raw)]
    assert {"content": [token]} in logprobs
