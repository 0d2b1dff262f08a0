"""Tool calls that no sensible model makes: cut short, interleaved, without ids, or of unknown tools."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import container, make_team, price_chat_models
from tests.chat.asking import answer_of, conversation, stream, text_of
from tests.chat.books import books_of, charged, estimate_of
from tests.chat.odd_model import FINISH, OddModel, arguments, calls, make_odd_host, says
from tests.chat.tools import TIME, WEATHER, calls_of, names_of, result
from tests.factories import Organization


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_odd_host(database)


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
async def test_the_model_gets_an_error_for_a_call_that_cannot_be_made(
    tuned: httpx.AsyncClient,
    host: Organization,
    odd_model: OddModel,
    name: str,
    arguments: str,
    result: str,
    is_streamed: bool,
) -> None:
    """The client has offered no tools, so the server must handle every call."""
    odd_model.say([calls(name, arguments)], [says({"content": "Sorry"}, "stop")])

    if is_streamed:
        streamed = await stream(tuned, host, "Hello")
        assert (streamed.text, streamed.calls, streamed.finish_reason) == ("Sorry", [], "stop")
    else:
        assert text_of(await answer_of(tuned, host, "Hello")) == "Sorry"

    assert odd_model.requests[1]["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": result}


async def test_a_tool_of_the_servers_that_was_not_offered_is_not_run(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel
) -> None:
    generate = '{"model": "simulator/text", "input": {"prompt": "a poem"}}'
    odd_model.say([calls("replicate_generate", generate)], [calls("get_weather", "{}")])

    answer = await answer_of(tuned, host, "Oslo?", tools=[WEATHER], tool_choice="required")

    assert names_of(calls_of(answer)) == ["get_weather"]
    assert "generated_content" not in answer
    first, second = odd_model.requests
    assert second["messages"][-1]["content"] == '{"error":"there is no such tool"}'
    for request in (first, second):
        assert [each["function"]["name"] for each in request["tools"]] == ["get_weather"]
        assert request["tool_choice"] == "required"


async def test_a_model_that_only_calls_unknown_tools_is_stopped_at_the_agents_maximum(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel
) -> None:
    odd_model.say([calls("never_offered")])

    answer = await answer_of(tuned, host, "Hello")

    assert len(odd_model.requests) == 3
    assert (text_of(answer), answer["choices"][0]["finish_reason"]) == ("", "stop")


async def test_a_call_is_charged_by_its_bytes_if_no_usage_is_reported(
    tuned: httpx.AsyncClient, database: Database, host: Organization, odd_model: OddModel
) -> None:
    arguments = '{"city": "Rome"}'
    odd_model.say([calls("get_weather", arguments), FINISH])

    streamed = await stream(tuned, host, "Hello", tools=[WEATHER])

    assert streamed.calls[0]["function"] == {"name": "get_weather", "arguments": arguments}
    estimate = estimate_of(odd_model.requests[0], f"get_weather{arguments}")
    assert await books_of(database, host) == charged(estimate, is_estimated=True)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_call_that_was_cut_is_returned_with_the_reason(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel, reason: str, is_streamed: bool
) -> None:
    odd_model.say([calls("get_weather", '{"city": "Ro', finish_reason=reason)])

    if is_streamed:
        streamed = await stream(tuned, host, "Hello", tools=[WEATHER], **conversation("ours"))
        (call,), shown = streamed.calls, streamed.finish_reason
    else:
        (choice,) = (await answer_of(tuned, host, "Hello", tools=[WEATHER], **conversation("ours")))["choices"]
        (call,), shown = choice["message"]["tool_calls"], choice["finish_reason"]

    assert (call["function"]["arguments"], shown) == ('{"city": "Ro', reason)


@pytest.mark.parametrize("is_answered", [True, False])
async def test_a_call_that_was_cut_does_not_break_later_turns(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel, is_answered: bool
) -> None:
    odd_model.say([calls("get_weather", '{"city": "Ro', finish_reason="length")], [says({"content": "Well"}, "stop")])
    asked = await answer_of(tuned, host, "Hello", tools=[WEATHER], **conversation("ours"))
    (call,) = asked["choices"][0]["message"]["tool_calls"]

    results = [result(call, "rain")] if is_answered else []
    messages = [*results, {"role": "user", "content": "And?"}]
    await answer_of(tuned, host, messages=messages, tools=[WEATHER], **conversation("ours"))

    # Some providers refuse arguments that are not JSON, and all refuse a call without a result.
    _, remembered, answered, last = odd_model.requests[1]["messages"]
    assert remembered["tool_calls"] == [{**call, "function": {"name": "get_weather", "arguments": "{}"}}]
    assert answered == result(call, "rain" if is_answered else "No result was given for this call.")
    assert last == messages[-1]


async def test_invalid_json_in_a_server_tools_arguments_is_not_sent_back(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel
) -> None:
    odd_model.say([calls("poet", '{"request": "Rh')], [says({"content": "Sorry"}, "stop")])

    await answer_of(tuned, host, "Hello")

    assert odd_model.requests[1]["messages"][1]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize("indexes", [[0, 1], [0, 0], [None, None], ["0", "1"]])
async def test_parallel_calls_are_kept_apart_whatever_their_index(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel, indexes: list[Any]
) -> None:
    first, second = [{"index": index} for index in indexes]
    odd_model.say(
        [
            calls("get_weather", '{"city":', finish_reason=None, id="call_a", **first),
            arguments(' "Rome"', **first),
            arguments("}", id="another", **first),
            calls("get_time", "{", finish_reason=None, id="call_b", **second),
            arguments("}", id="call_b", **second),
            *[[choice] for choice in FINISH],
        ]
    )

    streamed = await stream(tuned, host, "Hello", tools=[WEATHER, TIME])

    assert [(call["id"], call["function"]) for call in streamed.calls] == [
        ("call_a", {"name": "get_weather", "arguments": '{"city": "Rome"}'}),
        ("call_b", {"name": "get_time", "arguments": "{}"}),
    ]


async def test_generated_call_ids_are_unique_in_a_session(
    tuned: httpx.AsyncClient, host: Organization, odd_model: OddModel
) -> None:
    odd_model.say([calls("get_weather", id=None)])
    made = []
    for _ in range(2):
        answer = await answer_of(tuned, host, "Hello", tools=[WEATHER], **conversation("ours"))
        made += answer["choices"][0]["message"]["tool_calls"]

    odd_model.say([says({"content": "Well"}, "stop")])
    messages = [result(made[1], "rain")]
    await answer_of(tuned, host, messages=messages, tools=[WEATHER], **conversation("ours"))

    assert made[0]["id"] != made[1]["id"]
    results = [message for message in odd_model.requests[0]["messages"] if message["role"] == "tool"]
    assert results == [result(made[0], "No result was given for this call."), result(made[1], "rain")]


async def test_an_agent_in_a_loop_still_answers_after_another_one_has_ended_the_loop(
    tuned: httpx.AsyncClient, database: Database, odd_model: OddModel
) -> None:
    critic = {"name": "critic", "model": "sim-chat"}
    writer = {"name": "writer", "model": "odd", "sub_agents": ["critic"]}
    team = await make_team(database, container("LOOP", "writer", "critic"), writer, critic)
    await price_chat_models(database, "odd", upstream="odd")
    # The critic is asked by the writer, and calls the tool that ends the loop of both.
    odd_model.say([calls("critic", '{"request": "exit loop"}')], [says({"content": "Better"}, "stop")])

    answer = await answer_of(tuned, team, "Hello")

    assert len(odd_model.requests) == 2
    assert text_of(answer) == "Better"
