"""The parameters of a request that are sent to the model."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import LONGEST_ANSWER, make_host
from tests.chat.asking import answer_of, ask, stream, text_of, user
from tests.chat.books import tokens_of
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization

SCHEMA = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
PARAMETERS: dict[str, Any] = {
    "temperature": 0,
    "top_p": 0.25,
    "max_tokens": 88,
    "frequency_penalty": -0.5,
    "presence_penalty": 2,
    "stop": ["never", "nowhere"],
    "seed": 42,
    "response_format": {"type": "json_schema", "json_schema": {"name": "size", "schema": SCHEMA, "strict": True}},
    "logprobs": True,
    "top_logprobs": 3,
    "user": "user-7",
    "metadata": {"trace": "abc"},
    "modalities": ["text"],
    "reasoning_effort": "xhigh",
    "verbosity": "low",
    "logit_bias": {"50256": -100, "11": 0.5},
    "service_tier": "flex",
    "prediction": {"type": "content", "content": "a size"},
    "store": False,
    "prompt_cache_key": "of-ada",
    "safety_identifier": "ada",
    # Those that the server does not know.
    "top_k": 40,
    "chat_template_kwargs": {"enable_thinking": False},
    "some_day": [1, {"a": None}],
}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000, "detail": "low"}}


@pytest.fixture(scope="module")
async def host(database: Database) -> Organization:
    return await make_host(database)


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_parameters_reach_the_model_unchanged(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, is_streamed: bool
) -> None:
    await (stream if is_streamed else answer_of)(http, host, "Hello", **PARAMETERS)

    request = upstream.the_request()
    own = {"model": "sim-chat", "messages": [user("Hello")]}
    streaming = {"stream": True, "stream_options": {"include_usage": True}} if is_streamed else {}
    assert request == PARAMETERS | own | streaming


@pytest.mark.parametrize(
    ("limits", "sent"),
    [
        ({}, LONGEST_ANSWER),
        ({"max_tokens": 77}, 77),
        ({"max_tokens": 5000}, LONGEST_ANSWER),
        ({"max_completion_tokens": 77}, 77),
        ({"max_completion_tokens": 5000}, LONGEST_ANSWER),
        ({"max_completion_tokens": 77, "max_tokens": 88}, 77),
        ({"max_completion_tokens": 88, "max_tokens": 77}, 77),
    ],
)
async def test_an_answer_always_has_one_limit_which_the_hold_covers(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, limits: dict[str, Any], sent: int
) -> None:
    await answer_of(http, host, "Hello", **limits)

    request = upstream.the_request()
    assert {name: value for name, value in request.items() if name.startswith("max_")} == {"max_tokens": sent}


async def test_the_response_is_openais_plus_the_session(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    response = await ask(http, host, "count to 3")

    body = response.json()
    assert list(body) == ["id", "object", "created", "model", "choices", "usage", "session_id"]
    assert body["id"].startswith("cmpl-")
    assert (body["object"], body["model"]) == ("chat.completion", "junis-orchestrator")
    message = {"role": "assistant", "content": "1 2 3"}
    assert body["choices"] == [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    assert tokens_of(body["usage"]) == upstream.calls()[0]["usage"]
    assert response.headers["x-session-id"] == body["session_id"]


async def test_structured_output_comes_back(http: httpx.AsyncClient, host: Organization) -> None:
    answer = await answer_of(http, host, "How large?", response_format=PARAMETERS["response_format"])

    assert text_of(answer) == '{"size": 1}'


@pytest.mark.parametrize(
    "ignored",
    [
        {"model": "gpt-4o"},
        {"n": 1},
        {"stream": False},
        {"stream": None, "temperature": None, "tools": None, "session_id": None, "n": None, "modalities": None},
        {"some_day": None, "audio": None, "functions": None, "function_call": None, "best_of": None},
    ],
)
async def test_what_is_for_the_server_and_what_is_empty_does_not_reach_the_model(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, ignored: dict[str, Any]
) -> None:
    await answer_of(http, host, "Hello", **ignored)

    assert upstream.the_request() == {
        "model": "sim-chat",
        "messages": [user("Hello")],
        "max_tokens": LONGEST_ANSWER,
    }


async def test_the_user_of_elevenlabs_is_the_user(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    await answer_of(http, host, "Hello", user_id="ada")

    assert (upstream.the_request().get("user"), "user_id" in upstream.the_request()) == ("ada", False)


async def test_the_hold_covers_a_prediction_that_is_not_used(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    """A prompt of a few hundred tokens and the longest answer could be paid for, the prediction beside it could not."""
    host = await make_host(database, credit="0.003")

    await answer_of(http, host, "Hello")
    refused = await ask(http, host, "Hello", prediction={"type": "content", "content": "p" * 500})

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_credits")
    assert len(upstream.calls()) == 1


async def test_pictures_reach_the_model(http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog) -> None:
    content = [{"type": "text", "text": "What is this?"}, IMAGE, IMAGE]

    answer = await answer_of(http, host, messages=[user(content)])

    assert upstream.the_request()["messages"] == [user(content)]
    assert "I saw 2 images" in text_of(answer)


async def test_the_agents_instruction_comes_before_the_clients_own(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, instruction="\nBe brief.\n", temperature=0.5, max_output_tokens=50)
    said = [
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": "Be quick."},
        {**user("Hello"), "name": "ada"},
        {"role": "assistant", "content": "Hi"},
        user("Again"),
    ]

    await answer_of(http, host, messages=said)
    await answer_of(http, host, messages=said, temperature=1, max_tokens=20)

    by_agent, by_client = upstream.requests()
    assert by_agent["messages"] == [{"role": "system", "content": "Be brief."}, *said]
    assert (by_agent["temperature"], by_agent["max_tokens"]) == (0.5, 50)
    assert (by_client["temperature"], by_client["max_tokens"]) == (1, 20)
