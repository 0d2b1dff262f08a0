"""llama.cpp's server as the upstream. Its model knows nothing, so what it says is not looked at."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from app.core.database import Database
from tests.contract.upstreams.llama_server import CONTEXT_TOKENS, MODEL, llama_server
from tests.contract.upstreams.product import Product, Team, Upstream, api_over, cost_of, team_on

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with llama_server(tmp_path_factory.mktemp("llama")) as running:
        yield running


@pytest.fixture(scope="module")
def product(
    upstream: Upstream,
    environment: dict[str, str],
    database: Database,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Product]:
    with api_over(upstream, environment, tmp_path_factory.mktemp("product") / "api.log") as url:
        yield Product(url, upstream, environment, database)


@pytest.fixture
async def team(product: Product) -> AsyncIterator[Team]:
    async with team_on(product) as made:
        yield made


async def test_an_answer_as_a_whole(team: Team) -> None:
    answer = (await team.ask(MODEL, "Hello")).json()

    assert answer["choices"][0]["finish_reason"] in {"length", "stop"}
    assert answer["usage"]["prompt_tokens"] > len("Hello")
    # It counts the bytes of its nonsense again, and may find more tokens than it was allowed.
    assert answer["usage"]["completion_tokens"] > 0
    assert await team.charged() == cost_of(answer["usage"])


async def test_a_streamed_answer_is_charged_although_its_usage_is_not_reported(team: Team) -> None:
    chunks = await team.stream(MODEL, "Hello")

    ends = [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]]
    assert [end for end in ends if end] in (["length"], ["stop"])
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert await team.charged() == cost_of(chunks[-1]["usage"])


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_call_of_the_clients_tool(team: Team, is_streamed: bool) -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}

    call = await team.call_tool(MODEL, "Weather?", is_streamed=is_streamed, tool_choice=choice, max_tokens=200)

    assert call.name == "get_weather"
    assert call.finish_reason in {"tool_calls", "length"}
    assert call.arguments.lstrip().startswith("{")
    assert await team.charged() == cost_of(call.usage)


# It answers a stream that it refuses with status 200, and ends it without a word.
@pytest.mark.parametrize(
    ("is_streamed", "status", "code"), [(False, 400, "invalid_request"), (True, 502, "provider_error")]
)
async def test_a_prompt_that_is_too_long_is_refused_and_costs_nothing(
    team: Team, is_streamed: bool, status: int, code: str
) -> None:
    response = await team.ask(MODEL, "word " * CONTEXT_TOKENS, stream=is_streamed)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert await team.charged() == 0


async def test_the_first_run_and_the_doctor(product: Product, team: Team) -> None:
    found = json.loads(product.junis("demo-model").stdout)
    report = json.loads(product.junis("doctor", "--json").stdout)

    assert (found["model"], found["problem"]) == (MODEL, "")
    (line,) = [entry for entry in report if entry["check"] == "chat model"]
    assert line["state"] == "ok", line


def test_a_wrong_key_is_told(product: Product) -> None:
    found = json.loads(product.junis("demo-model", LLM_API_KEY="a-wrong-key-of-the-tests").stdout)

    assert "refuses the key" in found["problem"]
    assert found["mend"] == "correct LLM_API_KEY"
