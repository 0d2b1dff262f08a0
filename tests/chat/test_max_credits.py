"""A request with `max_credits` neither holds nor pays more, whatever it does."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx
import pytest
from openai import APIStatusError, AsyncOpenAI

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.agents.test_costs import DEAR, HOST, make_dear_team
from tests.chat.asking import CHAT, ask, ask_to_stream, stream
from tests.chat.books import books_of, charged, cost_of
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.books import faults_of

HEADER = "X-Max-Credits"
# The prompt of a few words counts by its bytes, of which there are less than 100: the rest pays for 200 tokens.
SHORT = "0.0005"
# The least of it that an answer has: 16 tokens.
TOO_LITTLE = "0.00003"


async def most_held(database: Database, organization: Organization) -> Decimal:
    """The most that one of the organization's holds has held."""
    async with database.transaction() as tx:
        most: Decimal = await tx.fetchval(
            "SELECT max(amount) FROM credit_holds WHERE organization_id = $1", organization.id
        )
    return most


async def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize("given", [{"max_credits": float(SHORT)}, {"max_credits": SHORT}])
async def test_the_answer_is_as_long_as_can_be_paid_for(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, given: dict[str, Any]
) -> None:
    host = await make_host(database)

    response = await ask(http, host, "count to 900", **given)

    (request,) = upstream.requests()
    assert response.json()["choices"][0]["finish_reason"] == "length"
    assert 150 < request["max_tokens"] < 250
    assert "max_credits" not in request
    assert await books_of(database, host) == charged(cost_of([upstream.calls()[0]["usage"]]))
    assert Decimal(SHORT) - Decimal("0.000002") < await most_held(database, host) <= Decimal(SHORT)


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/responses"])
async def test_a_request_whose_prompt_costs_more_is_refused_before_anything_runs(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, path: str, is_streamed: bool
) -> None:
    host = await make_host(database)
    chat = {"messages": [{"role": "user", "content": "Hello"}]}
    words: dict[str, dict[str, Any]] = {CHAT: chat, "/v1/completions": {"prompt": "Hello"}}
    body = {"model": "junis", "stream": is_streamed, **words.get(path, {"input": "Hello"})}

    by_body = await http.post(path, json={**body, "max_credits": TOO_LITTLE}, headers=host.headers)
    by_header = await http.post(path, json=body, headers={**host.headers, HEADER: TOO_LITTLE})

    assert [await error_of(each) for each in (by_body, by_header)] == [(402, "max_credits_reached")] * 2
    assert upstream.calls() == []
    assert (await books_of(database, host)).holds == []


async def test_the_lesser_of_body_and_headers_holds(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database)
    for body, headers in (("1", [SHORT]), (SHORT, ["1"]), ("1", ["1", SHORT])):
        given = [*host.headers.items(), *((HEADER, value) for value in headers)]
        messages = [{"role": "user", "content": "Hello"}]
        await http.post(CHAT, json={"messages": messages, "max_credits": body}, headers=given)

    assert [150 < request["max_tokens"] < 250 for request in upstream.requests()] == [True] * 3


@pytest.mark.parametrize(
    "given",
    [
        "0",
        "-1",
        "NaN",
        "Infinity",
        "1e400",
        "1e-3",
        "0.1234567",
        "words",
        "",
        "1,5",
        "٣",
        "1" * 13,
        "+1",
        "1.",
    ],
)
async def test_what_is_no_amount_is_refused_by_name(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, given: str
) -> None:
    host = await make_host(database)
    limited = [(name.encode(), value.encode()) for name, value in {**host.headers, HEADER: given}.items()]

    by_body = await ask(http, host, "Hello", max_credits=given)
    by_header = await http.post(CHAT, json={"messages": [{"role": "user", "content": "Hello"}]}, headers=limited)

    assert [(each.status_code, each.json()["error"]["param"]) for each in (by_body, by_header)] == [
        (400, "max_credits"),
        (400, HEADER),
    ]
    assert upstream.calls() == []


@pytest.mark.parametrize("given", ["0", "-1", "true", "[1]", "{}", "0.1234567", "1e400", "1e9", "1234567890.5", "-0.0"])
async def test_a_number_that_is_no_amount_is_refused_by_name(
    http: httpx.AsyncClient, database: Database, given: str
) -> None:
    host = await make_host(database)
    body = f'{{"messages": [{{"role": "user", "content": "Hello"}}], "max_credits": {given}}}'

    response = await http.post(CHAT, content=body, headers={**host.headers, "Content-Type": "application/json"})

    assert (response.status_code, response.json()["error"]["param"]) == (400, "max_credits")


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_what_the_upstream_counts_beyond_the_limit_is_not_charged(
    http: httpx.AsyncClient, database: Database, is_streamed: bool
) -> None:
    host = await make_host(database, "sim-chat--hidden-reasoning-5000")

    response = await ask(http, host, "count to 3", stream=is_streamed, max_credits=SHORT)

    assert response.status_code == 200
    assert await books_of(database, host) == charged(Decimal(SHORT))
    assert await faults_of(database, host) == []


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_turn_that_would_exceed_it_ends_and_pays_for_what_it_finished(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    team = await make_dear_team(database, HOST, DEAR, credit="100")

    response = await (ask_to_stream if is_streamed else ask)(http, team, "Ask the poet", max_credits="0.005")

    assert await error_of(response) == (402, "max_credits_reached")
    (call,) = upstream.calls()
    assert await books_of(database, team) == charged(cost_of([call["usage"]]))
    assert await faults_of(database, team) == []


async def test_a_refusal_after_the_first_words_is_an_error_frame(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_dear_team(database, HOST, DEAR, credit="100")

    streamed = await stream(http, team, 'First say "one moment" and ask the poet', max_credits="0.005")

    assert streamed.text == "one moment"
    assert streamed.error is not None
    assert (streamed.error["type"], streamed.error["code"]) == ("billing_error", "max_credits_reached")
    assert await books_of(database, team) == charged(cost_of([upstream.calls()[0]["usage"]]))


async def test_all_calls_of_a_turn_share_it(http: httpx.AsyncClient, database: Database, upstream: UpstreamLog) -> None:
    team = await make_dear_team(database, HOST, {"name": "poet", "model": "host-model"}, credit="100")

    response = await ask(http, team, "Ask the poet", max_credits="0.001")

    assert response.status_code == 200
    assert len(upstream.calls()) == 3
    assert await books_of(database, team) == charged(cost_of([call["usage"] for call in upstream.calls()]))
    assert await most_held(database, team) <= Decimal("0.001")


async def test_a_generation_takes_its_part(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, tools=["replicate_generate"])
    ceiling = await ceiling_of(database, "simulator/image")

    response = await ask(http, host, "make simulator/image", max_credits=str(ceiling + Decimal("0.002")))

    assert response.status_code == 200
    books = await books_of(database, host)
    assert len(books.charges) == 2
    assert books.total <= ceiling + Decimal("0.002")
    assert await faults_of(database, host) == []


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_generation_that_would_exceed_it_ends_the_turn(
    http: httpx.AsyncClient, database: Database, is_streamed: bool
) -> None:
    host = await make_host(database, tools=["replicate_generate"])
    ceiling = await ceiling_of(database, "simulator/image")

    asked = ask_to_stream if is_streamed else ask
    response = await asked(http, host, "make simulator/image", max_credits=str(ceiling))

    assert await error_of(response) == (402, "max_credits_reached")
    assert (await books_of(database, host)).holds == ["settled"]
    assert await faults_of(database, host) == []


async def ceiling_of(database: Database, model: str) -> Decimal:
    async with database.transaction() as tx:
        ceiling: Decimal = await tx.fetchval(
            "SELECT ceiling FROM prices WHERE model_name = $1 AND effective_at <= now() ORDER BY id DESC LIMIT 1",
            model,
        )
    return ceiling


async def test_a_key_with_another_limit_is_another_request(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database)
    headers = {**host.headers, "Idempotency-Key": "one"}
    body = {"messages": [{"role": "user", "content": "Hello"}]}

    statuses = [
        (await http.post(CHAT, json=body, headers=headers | limit)).status_code
        for limit in ({HEADER: "0.01"}, {HEADER: "0.01"}, {HEADER: "0.02"}, {})
    ]

    assert statuses == [200, 200, 409, 409]
    assert len((await books_of(database, host)).charges) == 1


async def test_many_requests_at_once_each_keep_to_their_own(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, "sim-chat--hidden-reasoning-5000")
    limits = [Decimal(number) / 10_000 for number in range(2, 22)]

    await asyncio.gather(*(ask(http, host, "count to 3", max_credits=str(limit)) for limit in limits))

    books = await books_of(database, host)
    assert sorted(books.charges) == limits
    assert await faults_of(database, host) == []


async def test_it_is_given_to_openais_client(stack: Stack, database: Database) -> None:
    host = await make_host(database)
    messages: list[Any] = [{"role": "user", "content": "Hello"}]
    async with AsyncOpenAI(api_key=host.api_key, base_url=f"{stack.url}/api/external/v1", max_retries=3) as client:
        for given in ({"extra_body": {"max_credits": 0.00002}}, {"extra_headers": {HEADER: "0.00002"}}):
            options: dict[str, Any] = given
            with pytest.raises(APIStatusError) as refused:
                await client.chat.completions.create(model="junis", messages=messages, **options)
            assert (refused.value.status_code, refused.value.code) == (402, "max_credits_reached")
        answer = await client.responses.create(model="junis", input="Hello", extra_body={"max_credits": "0.01"})

    assert answer.output_text
    assert len((await books_of(database, host)).charges) == 1
