"""Upstreams that speak other dialects of OpenAI's protocol, over HTTP: what the client gets, and what it costs."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import agent, make_host, make_team
from tests.chat.asking import answer_of, ask, ask_to_stream, conversation, stream, text_of, user
from tests.chat.books import NOTHING_CHARGED, books_of, charged, cost_of, estimate_of
from tests.chat.tools import WEATHER, calls_of, result
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization

ADDING = "sim-chat--thought-signatures--reasoning-details--thinking-blocks"
WORDS = "count to 5"
ANSWER = "1 2 3 4 5"


async def asked(
    http: httpx.AsyncClient, host: Organization, words: str, *, is_streamed: bool, **body: Any
) -> tuple[dict[str, Any], str | None]:
    """The message of the answer, put together as an SDK would, and why it ended."""
    if not is_streamed:
        (choice,) = (await answer_of(http, host, words, **body))["choices"]
        return choice["message"], choice["finish_reason"]
    streamed = await stream(http, host, words, **body)
    added = {name: value for delta in streamed.deltas for name, value in delta.items() if name != "content"}
    message = {"role": "assistant", "content": streamed.text or None, **added}
    return message | ({"tool_calls": streamed.calls} if streamed.calls else {}), streamed.finish_reason


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_what_a_model_has_added_to_its_call_of_a_servers_tool_comes_back_to_it(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    team = await make_team(database, agent("host", ADDING, sub_agents=["poet"]), agent("poet"))

    message, reason = await asked(http, team, "Ask the poet", is_streamed=is_streamed)

    assert reason == "stop"
    assert message["content"].startswith("The tool says:")
    assert message.keys() == {"role", "content"}
    assert await books_of(database, team) == charged(cost_of(call["usage"] for call in upstream.calls()))


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("is_stored", [True, False])
async def test_what_a_model_has_added_to_a_call_of_the_clients_tool_survives_the_client_and_the_session(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool, is_stored: bool
) -> None:
    host = await make_host(database, ADDING)
    ours: dict[str, Any] = {"tools": [WEATHER], **(conversation("ours") if is_stored else {})}
    called, reason = await asked(http, host, "get weather", is_streamed=is_streamed, **ours)
    (call,) = called["tool_calls"]
    assert reason == "tool_calls"
    assert called.keys() == {"role", "content", "tool_calls", "reasoning_details", "thinking_blocks"}
    assert call["extra_content"] == {"google": {"thought_signature": f"signature of {call['id']}"}}

    new = [result(call, "rain")]
    messages = new if is_stored else [user("get weather"), called, *new]
    answered = await ask(http, host, messages=messages, **ours)

    # The simulator refuses a call that comes back in another form.
    assert answered.status_code == 200, answered.text
    assert upstream.requests()[-1]["messages"][1] == called


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_thoughts_come_back_with_the_clients_results_and_not_after_its_next_words(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    host = await make_host(database, ADDING)
    called, _ = await asked(http, host, "get weather", is_streamed=is_streamed, tools=[WEATHER], **conversation("a"))
    stored = {**called, "reasoning_content": "Hm."}
    messages = [user("get weather"), stored, result(called["tool_calls"][0], "rain")]

    await answer_of(http, host, messages=messages, tools=[WEATHER], **conversation("b"))
    await answer_of(http, host, "count to 2", **conversation("b"))

    during, after = [request["messages"][1] for request in upstream.requests()[-2:]]
    assert (during, after) == (stored, called)


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_an_upstream_that_refuses_what_another_has_added_gets_the_messages_without_it(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    host = await make_host(database, "sim-chat--no-additions--no-stream-options")
    messages = [user("x"), {"role": "assistant", "content": "y", "reasoning_details": [1], "odd": 1}, user(WORDS)]

    if is_streamed:
        assert (await stream(http, host, messages=messages)).text == ANSWER
    else:
        assert text_of(await answer_of(http, host, messages=messages)) == ANSWER

    assert upstream.requests()[-1]["messages"][1] == {"role": "assistant", "content": "y"}


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("finish-end-turn", "stop"),
        ("finish-model-length", "length"),
        ("finish-max-tokens", "length"),
        ("finish-safety", "content_filter"),
        ("finish-null", "stop"),
    ],
)
async def test_the_end_of_an_answer_is_told_in_openais_words(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, fault: str, reason: str, is_streamed: bool
) -> None:
    host = await make_host(database, f"sim-chat--{fault}")

    message, shown = await asked(http, host, WORDS, is_streamed=is_streamed)

    assert (message["content"], shown) == (ANSWER, reason)
    assert await books_of(database, host) == charged(cost_of([upstream.calls()[0]["usage"]]))


@pytest.mark.parametrize("fault", ["finish-error", "finish-malformed"])
async def test_an_answer_that_failed_is_an_error_and_costs_what_was_delivered(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, fault: str
) -> None:
    streaming, waiting = [await make_host(database, f"sim-chat--{fault}") for _ in range(2)]

    streamed = await stream(http, streaming, WORDS)
    refused = await ask(http, waiting, WORDS)

    assert (streamed.text, (streamed.error or {})["code"]) == (ANSWER, "provider_error")
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "provider_error")
    estimate = estimate_of(upstream.requests()[0], ANSWER)
    assert await books_of(database, streaming) == charged(estimate, is_estimated=True)
    assert await books_of(database, waiting) == NOTHING_CHARGED


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        "unended-event",
        "single-newlines",
        "carriage-returns",
        "byte-order-mark",
        "whole-at-end",
        "split-pairs",
        "split-bytes",
        "json-for-stream",
        "stream-for-json",
        "stream-for-json--single-newlines",
        "success-201",
        "float-usage",
        "choice-usage",
        "status-503-1",
        "status-529-1",
    ],
)
async def test_an_answer_is_whole_however_it_is_written(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, fault: str, is_streamed: bool
) -> None:
    host = await make_host(database, f"sim-chat--{fault}")
    words = f"{fault} {is_streamed} é 🎈!"  # of equal requests only the first one is refused

    message, reason = await asked(http, host, f"repeat after me: {words}", is_streamed=is_streamed)

    assert (message["content"], reason) == (words, "stop")
    true_usage = upstream.calls()[-1]["usage"]
    books = await books_of(database, host)
    if "stream-for-json" in fault and not is_streamed:
        # Nobody has asked this stream for its usage.
        assert books == charged(estimate_of(upstream.requests()[-1], words), is_estimated=True)
    else:
        assert books == charged(cost_of([true_usage]))


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_prompt_that_is_counted_alone_is_not_estimated(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    host = await make_host(database, "sim-chat--prompt-usage")

    await asked(http, host, WORDS, is_streamed=is_streamed)

    # The simulator counts four characters as a token, as the estimate of the answer does.
    assert await books_of(database, host) == charged(cost_of([upstream.calls()[0]["usage"]]), is_estimated=True)


@pytest.mark.parametrize("kind", ["text", "detail", "message", "code", "choice"])
async def test_an_error_of_any_form_ends_a_stream_as_an_error(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, kind: str
) -> None:
    host = await make_host(database, f"sim-chat--error-{kind}-2")

    streamed = await stream(http, host, WORDS)

    assert (streamed.text, streamed.finish_reason) == ("1 2 ", None)
    assert (streamed.error or {})["code"] == "provider_error"
    estimate = estimate_of(upstream.the_request(), "1 2 ")
    assert await books_of(database, host) == charged(estimate, is_estimated=True)


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("status", [503, 529])
async def test_an_overloaded_upstream_is_a_503_that_sdks_may_repeat(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, status: int, is_streamed: bool
) -> None:
    host = await make_host(database, f"sim-chat--status-{status}")

    response = await (ask_to_stream if is_streamed else ask)(http, host, WORDS)

    assert response.status_code == 503
    assert response.json()["error"] == {
        "message": "The model provider is overloaded at the moment",
        "type": "server_error",
        "code": "provider_unavailable",
    }
    assert "x-should-retry" not in response.headers
    assert len(upstream.calls()) == 2
    assert await books_of(database, host) == NOTHING_CHARGED


async def test_an_upstream_that_is_overloaded_later_in_a_turn_is_a_502_that_must_not_be_repeated(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    pair = {"name": "pair", "agent_type": "SEQUENTIAL_AGENT", "sub_agents": ["poet", "critic"]}
    team = await make_team(database, pair, agent("poet"), agent("critic", "sim-chat--status-503"))

    response = await ask(http, team, WORDS)

    assert (response.status_code, response.json()["error"]["code"]) == (502, "provider_error")
    assert response.headers["x-should-retry"] == "false"
    assert await books_of(database, team) == charged(cost_of([upstream.calls()[0]["usage"]]))


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_arguments_that_are_an_object_reach_tools_of_both_sides_as_text(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    team = await make_team(database, agent("host", "sim-chat--arguments-object", sub_agents=["poet"]), agent("poet"))

    called, _ = await asked(http, team, "get weather", is_streamed=is_streamed, tools=[WEATHER])
    message, _ = await asked(http, team, "Ask the poet", is_streamed=is_streamed)

    assert called["tool_calls"][0]["function"]["arguments"] == '{"city":"get weather"}'
    assert "You said: Ask the poet" in message["content"]
    sent_back = upstream.requests()[-1]["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(sent_back) == {"request": "Ask the poet"}


async def test_more_calls_than_an_answer_may_have_are_cut_and_the_model_is_told(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, agent("host", "sim-chat--many-calls-1003", sub_agents=["poet"]), agent("poet"))

    called, reason = await asked(http, team, "get weather", is_streamed=False, tools=[WEATHER])
    message, _ = await asked(http, team, "Ask the poet", is_streamed=False)

    assert (len(called["tool_calls"]), reason) == (1000, "length")
    assert message["content"].startswith("The tool says:")
    told = upstream.requests("sim-chat--many-calls-1003")[-1]["messages"]
    assert len(told) == 1002
    assert told[-1]["content"] == (
        '{"error":"too many calls at once: this one was not made, nor were 3 more, which are left out here"}'
    )


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_setting_of_the_agents_that_the_model_refuses_is_left_out_and_one_of_the_clients_is_not(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    host = await make_host(database, "sim-chat--no-temperature", temperature=0.5)

    message, _ = await asked(http, host, WORDS, is_streamed=is_streamed)
    refused = await (ask_to_stream if is_streamed else ask)(http, host, WORDS, temperature=0.7)

    assert message["content"] == ANSWER
    assert "temperature" not in upstream.requests()[-2]
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith("Unsupported parameter: 'temperature'")
    books = await books_of(database, host)
    assert (books.holds, books.held) == (["settled", "voided"], Decimal(0))


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_what_the_usage_consists_of_comes_back_as_the_sum_over_all_calls(
    http: httpx.AsyncClient, database: Database, is_streamed: bool
) -> None:
    team = await make_team(database, agent("host", "sim-chat--hidden-reasoning-7", sub_agents=["poet"]), agent("poet"))

    if is_streamed:
        usage = ((await stream(http, team, "Ask the poet", stream_options={"include_usage": True})).usage or {})[
            "usage"
        ]
    else:
        usage = (await answer_of(http, team, "Ask the poet"))["usage"]

    assert usage["completion_tokens_details"] == {"reasoning_tokens": 14, "audio_tokens": 0}
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0, "audio_tokens": 0}


async def test_calls_keep_their_place_in_a_replayed_stream(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, ADDING)
    headers = {**host.headers, "Idempotency-Key": "once"}
    body = {"messages": [user("get weather")], "tools": [WEATHER]}

    first, replayed = [await http.post("/v1/chat/completions", json=body, headers=headers) for _ in range(2)]

    assert replayed.json() == first.json()
    assert calls_of(first.json())[0]["extra_content"]
