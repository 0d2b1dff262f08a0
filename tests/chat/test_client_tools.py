"""Tools that the client runs itself, with and without tools of the server."""

import json
from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, ask, stream, text_of, user
from tests.chat.books import books_of, charged, cost_of
from tests.chat.tools import TIME, WEATHER, calls_of, names_of, result, tool
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.sessions.reading import messages_of

GENERATE = "replicate_generate"
BOTH = 'first say "one moment", then make simulator/text and get_weather'


def offered(request: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in request.get("tools", [])]


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database, tools=[GENERATE])


async def test_a_call_of_a_client_tool_ends_the_turn(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    answer = await answer_of(http, host, "get weather", tools=[WEATHER])

    (choice,) = answer["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {"role": "assistant", "content": None, "tool_calls": [call]}
    assert call.keys() == {"id", "type", "function"}
    assert call["function"] == {"name": "get_weather", "arguments": '{"city": "get weather"}'}
    request = upstream.the_request()
    assert offered(request) == [GENERATE, "get_weather"]
    assert request["tools"][1] == WEATHER


async def test_a_streamed_call_arrives_in_pieces(http: httpx.AsyncClient, host: Organization) -> None:
    streamed = await stream(http, host, "get weather and get time", tools=[WEATHER, TIME])

    pieces = [piece for delta in streamed.deltas for piece in delta["tool_calls"]]
    assert [piece["index"] for piece in pieces if "id" in piece] == [0, 1]
    assert len(pieces) > 4
    assert names_of(streamed.calls) == ["get_weather", "get_time"]
    assert all(json.loads(call["function"]["arguments"]) for call in streamed.calls)
    assert len({call["id"] for call in streamed.calls}) == 2
    assert (streamed.text, streamed.finish_reason) == ("", "tool_calls")


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_only_the_clients_own_calls_are_shown(
    http: httpx.AsyncClient, database: Database, host: Organization, upstream: UpstreamLog, is_streamed: bool
) -> None:
    if is_streamed:
        streamed = await stream(http, host, BOTH, tools=[WEATHER, TIME], stream_options={"include_usage": True})
        shown, text, session_id = streamed.calls, streamed.text, streamed.session_id
        (made,) = (streamed.finish or {})["generated_content"]
        assert {piece["index"] for delta in streamed.deltas for piece in delta.get("tool_calls", [])} == {0}
    else:
        answer = await answer_of(http, host, BOTH, tools=[WEATHER, TIME])
        shown, text, session_id = calls_of(answer), text_of(answer), answer["session_id"]
        (made,) = answer["generated_content"]

    assert names_of(shown) == ["get_weather"]
    assert text == f"one moment\n\n[file]({made['storage_url']})"
    assert made["status"] == "completed"
    # The server has run its own call. The model sees its result together with the client's result.
    await answer_of(http, host, messages=[result(shown[0], "rain")], session_id=session_id, tools=[WEATHER, TIME])
    said = upstream.requests()[-1]["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "tool", "tool"]
    assert names_of(said[1]["tool_calls"]) == [GENERATE, "get_weather"]
    assert said[1]["content"] == text
    assert [message["tool_call_id"] for message in said[2:]] == [call["id"] for call in said[1]["tool_calls"]]
    assert (json.loads(said[2]["content"])["id"], said[3]["content"]) == (made["id"], "rain")


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_texts_before_and_after_the_servers_own_calls_are_separated(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    host = await make_host(database, tools=[GENERATE])
    words = 'first say "one moment", then make simulator/text'
    text = (await stream(http, host, words)).text if is_streamed else text_of(await answer_of(http, host, words))

    assert text.startswith("one moment\n\nThe tool says:")
    assert len(upstream.calls()) == 2
    books = await books_of(database, host)
    assert books.total == cost_of(call["usage"] for call in upstream.calls())


@pytest.mark.parametrize(
    "faults",
    [
        "tool-index-missing",
        "tool-ids-missing",
        "tool-ids-missing--tool-index-missing",
        "tool-names-cut",
        "tool-names-cut--tool-index-missing",
        "tool-names-repeated",
        "tool-names-repeated--tool-index-missing",
        "tool-arguments-announced",
    ],
)
async def test_tool_calls_are_put_together_however_their_pieces_are_marked(
    http: httpx.AsyncClient, database: Database, faults: str
) -> None:
    host = await make_host(database, f"sim-chat--{faults}", tools=[GENERATE])

    streamed = await stream(http, host, BOTH + " and get_time", tools=[WEATHER, TIME])

    assert names_of(streamed.calls) == ["get_weather", "get_time"]
    assert all(json.loads(call["function"]["arguments"])["city"] for call in streamed.calls)
    assert len({call["id"] for call in streamed.calls if call["id"]}) == 2


async def test_results_may_come_with_the_whole_conversation(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    question = user("get weather and get time")
    asked = (await answer_of(http, host, messages=[question], tools=[WEATHER, TIME]))["choices"][0]["message"]
    results = [result(call, f"result {number}") for number, call in enumerate(asked["tool_calls"])]

    answer = await answer_of(http, host, messages=[question, asked, *results], tools=[WEATHER, TIME])

    assert "result 0" in text_of(answer)
    assert "result 1" in text_of(answer)
    assert upstream.requests()[-1]["messages"] == [question, asked, *results]


@pytest.mark.parametrize("history_tokens", [0, 32_000])
async def test_results_may_come_alone_if_the_session_is_named(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, history_tokens: int
) -> None:
    host = await make_host(database, max_history_tokens=history_tokens)
    asked = await answer_of(http, host, "get weather and get time", tools=[WEATHER, TIME])
    results = [result(call, "fine") for call in calls_of(asked)]

    answer = await answer_of(http, host, messages=results, session_id=asked["session_id"], tools=[WEATHER, TIME])

    assert "> fine\n> fine" in text_of(answer)
    # A model refuses results without their calls, so these are kept, however short the history must be.
    *_, call, first, second = upstream.requests()[-1]["messages"]
    assert [first, second] == results
    assert call["tool_calls"] == calls_of(asked)


async def test_a_call_without_a_result_does_not_break_the_next_turn(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    asked = await answer_of(http, host, "get weather and get time", tools=[WEATHER, TIME])
    first, second = calls_of(asked)

    half = [result(second, "noon"), user("Never mind. Hello")]
    answer = await answer_of(http, host, messages=half, session_id=asked["session_id"], tools=[WEATHER, TIME])

    assert "You said: Never mind" in text_of(answer)
    call, *results, last = upstream.requests()[-1]["messages"][1:]
    assert call["tool_calls"] == [first, second]
    assert {message["tool_call_id"]: message["content"] for message in results} == {
        first["id"]: "No result was given for this call.",
        second["id"]: "noon",
    }
    assert last == half[1]


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("auto", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
    ],
)
async def test_the_client_chooses_whether_tools_are_called(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, choice: Any, called: list[str]
) -> None:
    host = await make_host(database)

    answer = await answer_of(http, host, "Hello", tools=[WEATHER, TIME], tool_choice=choice)

    assert names_of(answer["choices"][0]["message"].get("tool_calls", [])) == called
    assert upstream.the_request()["tool_choice"] == choice


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_required_call_is_one_of_the_clients_tools(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, choice: Any, is_streamed: bool
) -> None:
    words, tools = "Draw a picture of Oslo", [WEATHER, TIME]
    made: dict[str, Any] | None
    if is_streamed:
        streamed = await stream(http, host, words, tools=tools, tool_choice=choice)
        called, reason, made = streamed.calls, streamed.finish_reason, streamed.finish
    else:
        answer = await answer_of(http, host, words, tools=tools, tool_choice=choice)
        called, reason, made = calls_of(answer), answer["choices"][0]["finish_reason"], answer

    assert (names_of(called), reason) == (["get_weather"], "tool_calls")
    assert "generated_content" not in (made or {})
    assert (offered(upstream.the_request()), upstream.the_request()["tool_choice"]) == (
        ["get_weather", "get_time"],
        choice,
    )


async def test_a_required_call_is_one_of_the_servers_tools_if_the_client_has_none(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    answer = await answer_of(http, host, "make simulator/text", tool_choice="required")

    assert text_of(answer).startswith("The tool says:")
    assert [request.get("tool_choice") for request in upstream.requests()] == ["required", None]


async def test_a_forced_tool_of_the_server_is_called_once(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    forced = {"type": "function", "function": {"name": GENERATE}}

    answer = await answer_of(http, host, "make simulator/text", tool_choice=forced)

    assert text_of(answer).startswith("The tool says:")
    assert [request.get("tool_choice") for request in upstream.requests()] == [forced, None]


async def test_tools_are_called_one_at_a_time_if_the_client_asks_for_it(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    answer = await answer_of(http, host, "get weather and get time", tools=[WEATHER, TIME], parallel_tool_calls=False)

    assert names_of(calls_of(answer)) == ["get_weather"]
    assert upstream.the_request()["parallel_tool_calls"] is False


async def test_tool_choices_without_tools_are_not_sent_to_the_model(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database)

    await answer_of(http, host, "Hello", tool_choice="auto", parallel_tool_calls=True)

    assert upstream.the_request().keys() == {"model", "messages", "max_tokens"}


async def test_a_tool_named_like_one_of_the_servers_is_refused(
    http: httpx.AsyncClient, database: Database, host: Organization, upstream: UpstreamLog
) -> None:
    response = await ask(http, host, "Hello", tools=[WEATHER, tool(GENERATE)])

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_request", "tools")
    assert GENERATE in error["message"]
    assert upstream.calls() == []
    assert (await books_of(database, host)).holds == []


async def test_a_turn_that_ends_with_a_call_is_stored_and_charged(
    http: httpx.AsyncClient, database: Database, host: Organization, upstream: UpstreamLog
) -> None:
    asked = await answer_of(http, host, "get weather", tools=[WEATHER])

    assert await books_of(database, host) == charged(cost_of([upstream.calls()[0]["usage"]]))
    assert await messages_of(http, host, asked["session_id"]) == [("user", "get weather"), ("assistant", None)]
