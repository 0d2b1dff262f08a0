"""LiteLLM's proxy as the upstream: its dialect, and the money."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from app.core.database import Database
from tests.contract.upstreams.litellm_proxy import ANSWER, KEY, PASSED_ON, litellm_proxy
from tests.contract.upstreams.product import Product, Team, Upstream, api_over, cost_of, team_on
from tests.vendors_simulator import VendorsSimulator

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def upstream(vendors: VendorsSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with litellm_proxy(tmp_path_factory.mktemp("litellm"), vendors.openai_url) as running:
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
    answer = (await team.ask("mock-chat", "Hello")).json()

    assert answer["choices"][0]["message"]["content"] == ANSWER
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] > 0
    assert await team.charged() == cost_of(answer["usage"])


async def test_a_streamed_answer(team: Team) -> None:
    chunks = await team.stream("mock-chat", "Hello")

    deltas = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]]
    ends = [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]]
    assert "".join(deltas) == ANSWER
    assert len([delta for delta in deltas if delta]) > 1
    assert [end for end in ends if end] == ["stop"]
    assert await team.charged() == cost_of(chunks[-1]["usage"])


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_call_of_the_clients_tool(team: Team, is_streamed: bool) -> None:
    call = await team.call_tool(PASSED_ON, "Please get weather in Oslo", is_streamed=is_streamed)

    assert (call.name, call.finish_reason) == ("get_weather", "tool_calls")
    assert "city" in json.loads(call.arguments)
    assert await team.charged() == cost_of(call.usage)


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("mock-busy", 429, "provider_rate_limited"),
        ("mock-long", 400, "invalid_request"),
        ("mock-broken", 502, "provider_error"),
    ],
)
async def test_its_errors_are_ours_and_cost_nothing(
    team: Team, model: str, status: int, code: str, is_streamed: bool
) -> None:
    response = await team.ask(model, "Hello", stream=is_streamed)

    assert response.status_code == status, response.text
    assert response.json()["error"]["code"] == code
    assert await team.charged() == 0


async def test_the_first_run_and_the_doctor(product: Product) -> None:
    found = json.loads(product.junis("demo-model").stdout)
    report = json.loads(product.junis("doctor", "--json").stdout)

    assert (found["model"], found["problem"], found["note"]) == ("mock-chat", "", "")
    (line,) = [entry for entry in report if entry["check"] == "chat model"]
    assert line["state"] == "ok", line


@pytest.mark.parametrize(
    ("settings", "problem", "mend"),
    [
        ({"LLM_API_KEY": "sk-a-wrong-key-of-the-tests"}, "refuses the key", "correct LLM_API_KEY"),
        ({"LLM_API_KEY": ""}, "fails with status 500", "set LLM_API_KEY if it wants a key"),
        ({"LLM_MODEL": "mock-chad"}, "has no model mock-chad", "set LLM_MODEL to one of its models: mock-chat"),
    ],
)
def test_what_is_set_wrongly_is_told(product: Product, settings: dict[str, str], problem: str, mend: str) -> None:
    found = json.loads(product.junis("demo-model", **settings).stdout)

    assert problem in found["problem"]
    assert mend in found["mend"]
    assert KEY not in json.dumps(found)
