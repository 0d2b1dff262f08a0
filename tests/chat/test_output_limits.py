"""The limit of an answer's length: always sent, under the name that the upstream knows, and covered by the hold."""

import secrets
from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.agents.definitions import LONGEST_ANSWER, make_host, price_chat_models
from tests.chat.asking import answer_of, ask, stream, text_of
from tests.chat.books import books_of, charged, cost_of
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.simulator.server import RunningSimulator


@pytest.fixture
def second(second_simulator: RunningSimulator) -> UpstreamLog:
    return UpstreamLog(second_simulator.log)


def limits(request: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name.startswith("max_")}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_client_cannot_have_an_answer_longer_than_it_pays_for_by_its_choice_of_the_name(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, name: str
) -> None:
    host = await make_host(database, "sim-chat--ignores-max-completion-tokens")

    answer = await answer_of(http, host, "count to 300", **{name: 1})

    assert answer["choices"][0]["finish_reason"] == "length"
    assert text_of(answer) == "1 2 "
    assert limits(upstream.the_request()) == {"max_tokens": 1}
    assert await books_of(database, host) == charged(cost_of([upstream.calls()[0]["usage"]]))


async def test_an_agents_limit_reaches_a_model_that_knows_only_the_new_name(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--no-max-tokens", max_output_tokens=7)

    answer = await answer_of(http, host, "count to 300")
    await stream(http, host, "count to 300", max_tokens=5)

    assert answer["usage"]["completion_tokens"] == 7
    # The refused request comes at most once for each process.
    *refused, first, second = upstream.requests()
    assert [limits(first), limits(second)] == [{"max_completion_tokens": 7}, {"max_completion_tokens": 5}]
    assert [limits(request) for request in refused] in ([], [{"max_tokens": 7}])
    accepted = [call["usage"] for call in upstream.calls() if call["usage"]]
    assert await books_of(database, host) == charged(*[cost_of([usage]) for usage in accepted])


async def test_the_operator_sets_the_name_that_an_upstream_knows(
    tuned: httpx.AsyncClient, database: Database, second: UpstreamLog
) -> None:
    host = await make_host(database, "modern-chat")
    await price_chat_models(database, "modern-chat", upstream="modern")

    await answer_of(tuned, host, "Hello", max_tokens=9)

    assert limits(second.the_request()) == {"max_completion_tokens": 9}


async def make_small(database: Database) -> Organization:
    """An organization whose orchestrator has a model with a context of 1200 tokens, which its longest answer fills."""
    model = "sim-chat--context-1200"
    host = await make_host(database, model)
    lines = [f'name = "{model}"', 'kind = "chat"', f"max_output_tokens = {LONGEST_ANSWER}", "context_tokens = 1200"]
    price = "price = { per_million_prompt_tokens = 1, per_million_completion_tokens = 2 }"
    await factories.import_catalog(database, "\n".join(["[[models]]", *lines, price]))
    return host


@pytest.mark.parametrize("tokens", [10, 300, 600, 900])
async def test_a_prompt_that_fits_into_the_context_is_not_refused_for_the_answers_limit(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, tokens: int
) -> None:
    host = await make_small(database)

    await answer_of(http, host, "word" * tokens)

    (limit,) = limits(upstream.the_request()).values()
    assert 0 < limit <= min(LONGEST_ANSWER, 1200 - tokens)


async def test_a_prompt_that_does_not_fit_is_refused_in_the_upstreams_words_and_free(
    http: httpx.AsyncClient, database: Database
) -> None:
    host = await make_small(database)

    response = await ask(http, host, secrets.token_hex(4) * 700)

    assert response.status_code == 400
    assert "maximum context length is 1200 tokens" in response.json()["error"]["message"]
    assert (await books_of(database, host)).holds == ["voided"]


async def test_a_model_that_refuses_stream_options_still_streams(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--no-stream-options")

    streamed = await stream(http, host, "count to 5")

    assert streamed.text == "1 2 3 4 5"
    assert "stream_options" not in upstream.requests()[-1]
    assert (await books_of(database, host)).estimated == [True]
