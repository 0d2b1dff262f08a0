"""Responses as streams. The grammar checks that the events are whole, in order, and make up the last one."""

import httpx
import pytest

from app.chat_models.sse_reader import MAX_EVENT_BYTES
from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import opened_stream
from tests.chat.odd_model import FINISH, OddModel, calls, make_odd_host, says
from tests.chat.responses.asking import TIME, WEATHER, calls_in, response_of, stream, text_of
from tests.factories import Organization

THINKING = [says({"reasoning_content": "Let me "}), says({"reasoning": "see."}), says({"content": "Good"}, "stop")]


@pytest.fixture(scope="module")
async def host(database: Database) -> Organization:
    return await make_host(database)


@pytest.fixture
async def odd(database: Database) -> Organization:
    return await make_odd_host(database)


async def test_every_word_is_an_event_of_its_own(http: httpx.AsyncClient, host: Organization) -> None:
    streamed = await stream(http, host, "count to 3")

    assert streamed.types == [
        *("response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"),
        *["response.output_text.delta"] * 3,
        *("response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"),
    ]
    assert streamed.deltas("output_text") == ["1 ", "2 ", "3"]
    assert streamed.response["status"] == "completed"


async def test_a_stream_ends_with_the_whole_response(http: httpx.AsyncClient, host: Organization) -> None:
    streamed = await stream(http, host, "count to 3")
    whole = await response_of(http, host, "count to 3")

    changing = {"id", "created_at", "completed_at", "session_id", "output"}
    assert text_of(streamed.response) == text_of(whole) == "1 2 3"
    assert streamed.response.keys() == whole.keys()
    for name in whole.keys() - changing:
        assert streamed.response[name] == whole[name], name


async def test_words_that_clients_take_for_the_end_of_a_line_are_escaped(
    tuned: httpx.AsyncClient, odd: Organization, odd_model: OddModel
) -> None:
    odd_model.say([says({"content": "a"}), says({"content": "\u2028\n\u0085"}), FINISH])

    streamed = await stream(tuned, odd, "Hello")

    assert text_of(streamed.response) == "a\u2028\n\u0085"


async def test_calls_come_in_pieces(http: httpx.AsyncClient, host: Organization) -> None:
    streamed = await stream(http, host, "get weather and get time", tools=[WEATHER, TIME])

    first, second = calls_in(streamed.response)
    assert (first["name"], second["name"]) == ("get_weather", "get_time")
    assert len(streamed.deltas("function_call_arguments")) > 2
    assert text_of(streamed.response) == ""


async def test_a_text_beside_calls_is_one_message(http: httpx.AsyncClient, host: Organization) -> None:
    streamed = await stream(http, host, 'first say "one moment", then get weather', tools=[WEATHER])

    assert [item["type"] for item in streamed.response["output"]] == ["message", "function_call"]
    assert text_of(streamed.response) == "one moment"


async def test_a_call_without_arguments_has_an_empty_object(
    tuned: httpx.AsyncClient, odd: Organization, odd_model: OddModel
) -> None:
    odd_model.say([calls("get_weather", "")])

    (call,) = calls_in((await stream(tuned, odd, "Hello", tools=[WEATHER])).response)

    assert call["arguments"] == "{}"


@pytest.mark.parametrize("summary", [None, "auto"])
async def test_reasoning_is_an_item_that_ends_where_the_text_begins(
    tuned: httpx.AsyncClient, odd: Organization, odd_model: OddModel, summary: str | None
) -> None:
    odd_model.say(THINKING)

    streamed = await stream(tuned, odd, "Hello", reasoning={"summary": summary})

    kind = "reasoning_summary_text" if summary else "reasoning_text"
    assert streamed.deltas(kind) == ["Let me ", "see."]
    thoughts, message = streamed.response["output"]
    assert thoughts["summary" if summary else "content"][0]["text"] == "Let me see."
    assert message["content"][0]["text"] == "Good"
    types = streamed.types
    assert types.index(f"response.{kind}.done") < types.index("response.output_text.delta")


async def test_a_model_that_thinks_again_after_its_text_has_it_in_the_last_event(
    tuned: httpx.AsyncClient, odd: Organization, odd_model: OddModel
) -> None:
    odd_model.say(
        [
            says({"reasoning_content": "First. "}),
            says({"content": "Good "}),
            says({"reasoning_content": "Second."}),
            says({"content": "day"}, "stop"),
        ]
    )

    streamed = await stream(tuned, odd, "Hello")

    assert streamed.deltas("reasoning_text") == ["First. "]
    thoughts, message = streamed.response["output"]
    assert thoughts["content"][0]["text"] == "First. Second."
    assert message["content"][0]["text"] == "Good day"


async def test_a_refusal_is_a_part_of_its_own(tuned: httpx.AsyncClient, odd: Organization, odd_model: OddModel) -> None:
    odd_model.say([says({"content": None, "refusal": "I "}), says({"refusal": "cannot."}, "stop")])

    streamed = await stream(tuned, odd, "Hello")

    assert streamed.deltas("refusal") == ["I ", "cannot."]
    assert streamed.response["output"][0]["content"] == [{"type": "refusal", "refusal": "I cannot."}]


async def test_an_empty_answer_is_an_empty_text(http: httpx.AsyncClient, host: Organization) -> None:
    streamed = await stream(http, host, "repeat after me:")

    assert streamed.response["output"][0]["content"][0]["text"] == ""


@pytest.mark.parametrize(
    ("reason", "incomplete"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
async def test_an_answer_that_was_cut_is_incomplete(
    tuned: httpx.AsyncClient, odd: Organization, odd_model: OddModel, reason: str, incomplete: str
) -> None:
    odd_model.say([says({"content": "Go"}, reason)])

    streamed = await stream(tuned, odd, "Hello")

    assert streamed.types[-1] == "response.incomplete"
    assert streamed.response["incomplete_details"] == {"reason": incomplete}
    assert (streamed.response["status"], streamed.response["completed_at"]) == ("incomplete", None)
    assert streamed.response["output"][0]["status"] == "incomplete"


async def test_a_failure_in_the_middle_is_an_error_and_a_failed_response(
    tuned: httpx.AsyncClient, odd: Organization, odd_model: OddModel
) -> None:
    odd_model.say([says({"content": "Good "}), says({"content": 7}), FINISH])

    streamed = await stream(tuned, odd, "Hello")

    assert streamed.text == "Good "
    assert streamed.types[-2:] == ["error", "response.failed"]
    assert streamed.error is not None
    assert streamed.error["code"] == streamed.error["error"]["code"] == "provider_error"
    assert streamed.response["error"]["code"] == "server_error"


async def test_an_event_that_is_too_long_fails_after_what_was_said(
    tuned: httpx.AsyncClient, odd: Organization, odd_model: OddModel
) -> None:
    odd_model.say([says({"content": "Good "}), says({"content": "x" * MAX_EVENT_BYTES}), FINISH])

    streamed = await stream(tuned, odd, "Hello")

    assert streamed.text == "Good "
    assert streamed.types[-2:] == ["error", "response.failed"]
    assert streamed.error is not None
    assert "too long" in streamed.error["message"]


async def test_log_probabilities_come_if_they_are_asked_for(
    tuned: httpx.AsyncClient, odd: Organization, odd_model: OddModel
) -> None:
    token = {"token": "Good", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "Bad", "logprob": -1.5}]}
    shown = {**token, "bytes": [], "top_logprobs": [{"token": "Bad", "logprob": -1.5, "bytes": []}]}
    (choice,) = says({"content": "Good"}, "stop")
    odd_model.say([[{**choice, "logprobs": {"content": [token]}}]])

    asked = await stream(tuned, odd, "Hello", include=["message.output_text.logprobs"])
    unasked = await stream(tuned, odd, "Hello")

    assert asked.response["output"][0]["content"][0]["logprobs"] == [shown]
    assert unasked.response["output"][0]["content"][0]["logprobs"] == []
    assert [request.get("logprobs") for request in odd_model.requests] == [True, None]


async def test_what_was_generated_is_in_the_text_and_beside_it(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, tools=["replicate_generate"])
    words = 'first say "one moment", then make simulator/text and get_weather'

    streamed = await stream(http, host, words, tools=[WEATHER])

    (made,) = streamed.response["generated_content"]
    assert made["status"] == "completed"
    assert text_of(streamed.response) == f"one moment\n\n[file]({made['storage_url']})"
    assert [call["name"] for call in calls_in(streamed.response)] == ["get_weather"]


async def test_a_stream_comes_as_the_model_speaks(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, "sim-chat--stall-3")

    body = {"model": "junis-orchestrator", "input": "count to 9"}
    async with opened_stream(http, host, path="/v1/responses", **body) as opened:
        await opened.read(until=b'"delta":"3 "')

    assert b'"4' not in opened.raw
