"""Models that say what no sensible model says: the client gets an answer or an error, never a broken stream."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_team, price_chat_models
from tests.chat.asking import answer_of, ask, ask_to_stream, conversation, stream, text_of
from tests.chat.books import books_of, charged, estimate_of
from tests.chat.grammar import check_error
from tests.chat.odd_model import OddModel
from tests.factories import Organization

WEATHER = {"type": "function", "function": {"name": "get_weather"}}
FINISH = [{"delta": {}, "finish_reason": "stop"}]


@pytest.fixture
async def host(database: Database) -> Organization:
    team = await make_team(
        database,
        {"name": "host", "model": "odd", "tools": ["replicate_generate"], "sub_agents": ["poet"], "max_llm_calls": 3},
        {"name": "poet", "model": "sim-chat"},
    )
    await price_chat_models(database, "odd", upstream="odd")
    return team


def says(delta: Any, finish_reason: str | None = None) -> list[Any]:
    """The choices of a chunk, which are a message's as well."""
    return [{"index": 0, "delta": delta, "message": delta, "finish_reason": finish_reason}]


def calls(name: Any, arguments: Any = "{}", **fields: Any) -> list[Any]:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return says({"role": "assistant", "content": None, "tool_calls": [{**call, **fields}]}, "tool_calls")


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
        calls("get_weather", {"city": "Rome"}),
        calls("get_weather", id=7),
    ],
)
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_what_has_no_known_form_is_an_error_of_the_provider(
    tuned: httpx.AsyncClient,
    database: Database,
    host: Organization,
    odd_model: OddModel,
    odd: list[Any],
    is_streamed: bool,
) -> None:
    odd_model.say([odd, FINISH] if is_streamed else [odd])

    answer = await (ask_to_stream if is_streamed else ask)(tuned, host, "Hello", tools=[WEATHER])

    assert answer.status_code == 502
    check_error(answer.json()["error"])
    assert answer.json()["error"]["code"] == "provider_error"
    assert (await books_of(database, host)).holds == ["voided"]


async def test_what_has_no_known_form_in_the_middle_is_a_frame(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel
) -> None:
    odd_model.say([says({"content": "Good "}), says({"content": 7}), FINISH])

    streamed = await stream(tuned, host, "Hello")

    assert streamed.text == "Good "
    assert streamed.error is not None
    assert streamed.error["code"] == "provider_error"


@pytest.mark.parametrize("quiet", [[], [{}], says(None), says({}), says({"content": None, "tool_calls": None})])
async def test_chunks_that_say_nothing_are_passed_over(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel, quiet: list[Any]
) -> None:
    odd_model.say([quiet, says({"content": "Good"}), quiet, says({}, "eos_token"), quiet])

    streamed = await stream(tuned, host, "Hello")

    assert (streamed.deltas, streamed.finish_reason) == ([{"content": "Good"}], "stop")


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_content_in_parts_is_text(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel, is_streamed: bool
) -> None:
    parts = [{"type": "text", "text": "Good "}, {"type": "thinking", "thinking": "…"}, {"type": "text", "text": "day"}]
    odd_model.say([says({"content": parts}, "stop")])

    text = (await stream(tuned, host, "Hello")).text if is_streamed else text_of(await answer_of(tuned, host, "Hello"))

    assert text == "Good day"


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("never_offered", "{}", '{"error":"there is no such tool"}'),
        ("get_weather", "{}", '{"error":"there is no such tool"}'),
        ("poet", "{", '{"error":"the arguments are not a JSON object"}'),
        ("poet", "[]", '{"error":"the arguments are not a JSON object"}'),
        ("poet", '{"request": 7}', '{"error":"the agent needs request (a string)"}'),
        (
            "replicate_generate",
            '{"model": 7}',
            '{"error":"replicate_generate needs model (a string) and input (an object)"}',
        ),
    ],
)
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_calls_that_cannot_be_made_are_told_to_the_model(
    tuned: httpx.AsyncClient,
    host: Organization,
    odd_model: OddModel,
    name: str,
    arguments: str,
    result: str,
    is_streamed: bool,
) -> None:
    """The client has offered no tools, so no call is its to make."""
    odd_model.say([calls(name, arguments)], [says({"content": "Sorry"}, "stop")])

    if is_streamed:
        streamed = await stream(tuned, host, "Hello")
        assert (streamed.text, streamed.calls, streamed.finish_reason) == ("Sorry", [], "stop")
    else:
        assert text_of(await answer_of(tuned, host, "Hello")) == "Sorry"

    assert odd_model.requests[1]["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": result}


async def test_a_model_that_only_calls_what_does_not_exist_ends_at_the_agents_maximum(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel
) -> None:
    odd_model.say([calls("never_offered")])

    answer = await answer_of(tuned, host, "Hello")

    assert len(odd_model.requests) == 3
    assert (text_of(answer), answer["choices"][0]["finish_reason"]) == ("", "stop")


async def test_a_call_is_paid_by_its_bytes_where_no_usage_is_reported(
    tuned: httpx.AsyncClient, database: Database, host: Organization, odd_model: OddModel
) -> None:
    arguments = '{"city": "Rome"}'
    odd_model.say([calls("get_weather", arguments), FINISH])

    streamed = await stream(tuned, host, "Hello", tools=[WEATHER])

    assert streamed.calls[0]["function"] == {"name": "get_weather", "arguments": arguments}
    estimate = estimate_of(odd_model.requests[0], f"get_weather{arguments}")
    assert await books_of(database, host) == charged(estimate, is_estimated=True)


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_refusal_comes_back_as_one(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel, is_streamed: bool
) -> None:
    odd_model.say([says({"content": None, "refusal": "I cannot."}, "stop")])

    if is_streamed:
        streamed = await stream(tuned, host, "Hello", **conversation("ours"))
        assert streamed.deltas == [{"refusal": "I cannot."}]
    else:
        message = (await answer_of(tuned, host, "Hello", **conversation("ours")))["choices"][0]["message"]
        assert message == {"role": "assistant", "content": "", "refusal": "I cannot."}

    # The next turn is not broken by it.
    odd_model.say([says({"content": "Good day"}, "stop")])
    await answer_of(tuned, host, "Hello again", **conversation("ours"))
    assert odd_model.requests[0]["messages"][1]["content"] == ""
