import asyncio
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from app.core.database import Database
from tests import factories
from tests.chat.books import NOTHING_CHARGED, Books, books_of, closed_books_of
from tests.conftest import Stack
from tests.credits.capped import limit_key, spend_of
from tests.embeddings.asking import PATH, embed, vectors_of
from tests.factories import Organization

MILLIONTH = Decimal("0.000001")
# More than a megabyte, so that it is sent in pieces and not kept.
MANY = [f"text {number}" for number in range(2048)]


def paid(tokens: int, *, is_estimated: bool = False) -> Books:
    return Books([tokens * MILLIONTH], [is_estimated], ["settled"])


async def test_vectors_are_the_same_in_both_forms(http: httpx.AsyncClient, organization: Organization) -> None:
    texts = ["A lighthouse", "Ein Leuchtturm \N{ELECTRIC LIGHT BULB}"]

    floats = await embed(http, organization, texts)
    base64 = await embed(http, organization, texts, encoding_format="base64")

    assert vectors_of(floats) == vectors_of(base64)
    assert isinstance(floats.json()["data"][0]["embedding"], list)
    assert isinstance(base64.json()["data"][0]["embedding"], str)
    assert [len(vector) for vector in vectors_of(floats)] == [256, 256]
    assert sum(number * number for number in vectors_of(floats)[0]) == pytest.approx(1)
    assert (floats.json()["object"], floats.json()["model"]) == ("list", "sim-embed")
    assert floats.json()["usage"] == {"prompt_tokens": 3 + 4, "total_tokens": 3 + 4}


async def test_one_input_is_a_text_or_its_tokens(http: httpx.AsyncClient, organization: Organization) -> None:
    text, listed = [vectors_of(await embed(http, organization, given)) for given in ("one", ["one"])]
    tokens, nested = [vectors_of(await embed(http, organization, given)) for given in ([5, 6, 7], [[5, 6, 7]])]

    assert text == listed
    assert tokens == nested
    assert text != tokens


@pytest.mark.parametrize("flavour", ["--no-base64", "--ignores-base64"])
@pytest.mark.parametrize("form", ["float", "base64"])
async def test_each_form_is_made_from_the_one_that_the_upstream_writes(
    http: httpx.AsyncClient, organization: Organization, flavour: str, form: str
) -> None:
    asked = await embed(http, organization, ["one", "two"], model=f"sim-embed{flavour}", encoding_format=form)
    again = await embed(http, organization, ["one", "two"], model=f"sim-embed{flavour}", encoding_format=form)

    plain = vectors_of(await embed(http, organization, ["one", "two"]))
    assert vectors_of(asked) == vectors_of(again) == plain
    assert isinstance(asked.json()["data"][0]["embedding"], str if form == "base64" else list)


async def test_a_form_that_was_refused_is_not_asked_for_again(
    stack: Stack, http: httpx.AsyncClient, organization: Organization
) -> None:
    await embed(http, organization, "once more", model="sim-embed--no-base64")
    await embed(http, organization, "once more", model="sim-embed--no-base64")

    asked = [
        entry["request"] for entry in stack.simulator.log("embeddings") if entry["request"]["input"] == ["once more"]
    ]
    assert asked
    assert "encoding_format" not in asked[-1]
    assert sum("encoding_format" in body for body in asked) <= 1


async def test_parameters_reach_the_model(stack: Stack, http: httpx.AsyncClient, organization: Organization) -> None:
    sent: dict[str, Any] = {"dimensions": 8, "user": "ada", "input_type": "query", "truncate": "END"}

    (vector,) = vectors_of(await embed(http, organization, "with parameters", **sent))

    assert len(vector) == 8
    (asked,) = [each["request"] for each in stack.simulator.log("embeddings") if each["request"].get("user") == "ada"]
    assert asked == {**sent, "model": "sim-embed", "input": ["with parameters"], "encoding_format": "base64"}


async def test_as_many_inputs_as_openai_takes_are_one_request(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    response = await embed(http, organization, MANY, encoding_format="base64")

    vectors = vectors_of(response)
    assert len(vectors) == 2048
    assert vectors[-1] == vectors_of(await embed(http, organization, MANY[-1]))[0]
    used = response.json()["usage"]["prompt_tokens"]
    books = await closed_books_of(database, organization)
    assert books.charges[0] == used * MILLIONTH


async def test_tokens_that_the_upstream_counts_are_charged(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    response = await embed(http, organization, ["four", "and eight more"])

    assert response.json()["usage"]["prompt_tokens"] == 5
    assert await closed_books_of(database, organization) == paid(5)
    async with database.transaction() as tx:
        (entry,) = await tx.fetch(
            "SELECT * FROM ledger_entries WHERE organization_id = $1 AND kind = 'charge'", organization.id
        )
    assert entry["reference"].startswith("embeddings:emb")
    assert (entry["model"], entry["request_id"]) == ("sim-embed", response.headers["X-Request-ID"])
    assert (entry["user_id"], entry["description"]) == (organization.user_id, "Embeddings of 2 inputs")


async def test_tokens_that_nobody_counts_are_estimated(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    response = await embed(http, organization, ["12345", "1234"], model="sim-embed--no-usage")

    assert response.json()["usage"]["prompt_tokens"] == 3
    assert await closed_books_of(database, organization) == paid(3, is_estimated=True)


@pytest.mark.parametrize(
    ("flavour", "status", "code"),
    [
        ("--status-401", 502, "provider_error"),
        ("--status-404", 502, "provider_error"),
        ("--status-429", 429, "provider_rate_limited"),
        ("--html-502", 502, "provider_error"),
        ("--drop-before-response", 502, "provider_error"),
        ("--fewer-vectors", 502, "provider_error"),
        ("--nan-vectors", 502, "provider_error"),
        ("--infinite-vectors", 502, "provider_error"),
    ],
)
async def test_what_the_upstream_does_not_answer_is_free(
    http: httpx.AsyncClient, database: Database, organization: Organization, flavour: str, status: int, code: str
) -> None:
    response = await embed(http, organization, model=f"sim-embed{flavour}", key="again")

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert await closed_books_of(database, organization) == NOTHING_CHARGED
    # The key is free again.
    assert (await embed(http, organization, model=f"sim-embed{flavour}", key="again")).status_code == status


async def test_what_the_upstream_refuses_is_said_and_free(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    response = await embed(http, organization, dimensions=5000)

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "invalid_request", "dimensions")
    assert await closed_books_of(database, organization) == NOTHING_CHARGED


async def test_who_cannot_pay_for_all_inputs_is_refused_before_the_upstream_is_asked(
    stack: Stack, http: httpx.AsyncClient, database: Database
) -> None:
    poor = await factories.make_organization(database, credit="0.0001")

    # 100 bytes and the frame of an input are more tokens than 0.0001 credits buy.
    refused = await embed(http, poor, "x" * 100)
    served = await embed(http, poor, "x" * 80)

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_credits")
    assert served.status_code == 200
    asked = [entry["request"]["input"] for entry in stack.simulator.log("embeddings")]
    assert ["x" * 100] not in asked


@pytest.mark.parametrize("model", ["no-such-model", "sim-chat", "simulator/image"])
async def test_other_models_are_refused_with_those_that_there_are(
    http: httpx.AsyncClient, organization: Organization, model: str
) -> None:
    error = (await embed(http, organization, model=model)).json()["error"]

    assert (error["code"], error["param"]) == ("invalid_request", "model")
    assert "sim-embed" in error["message"]


_NONE: list[Any] = [[], "", {}, 1, None, True, ["x"] * 2049]
_FIRST_IS_NONE: list[Any] = [[""], [[]], [None], [-1], [1.5], [[1, "x"]], [True]]
_SECOND_IS_NONE: list[Any] = [["x", ""], ["x", [1]], [[1], "x"], [[1], []]]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        *((given, "input") for given in _NONE),
        *((given, "input.0") for given in _FIRST_IS_NONE),
        *((given, "input.1") for given in _SECOND_IS_NONE),
    ],
)
async def test_inputs_that_are_none_are_refused(
    http: httpx.AsyncClient, database: Database, organization: Organization, given: Any, param: str
) -> None:
    response = await embed(http, organization, given)

    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert (await books_of(database, organization)).holds == []


@pytest.mark.parametrize(
    "body", [{"encoding_format": "int8"}, {"dimensions": 0}, {"fallbacks": ["x"]}, {"messages": []}]
)
async def test_parameters_that_are_not_known_are_refused(
    http: httpx.AsyncClient, organization: Organization, body: dict[str, Any]
) -> None:
    response = await embed(http, organization, **body)

    assert (response.status_code, response.json()["error"]["param"]) == (400, next(iter(body)))


async def test_other_methods_are_refused(http: httpx.AsyncClient, organization: Organization) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        response = await http.request(method, PATH, headers=organization.headers)

        assert (response.status_code, response.headers["Allow"]) == (405, "POST")


async def test_a_repeated_request_is_charged_once(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    first, second = [await embed(http, organization, "once", key="one") for _ in range(2)]
    other = await embed(http, organization, "twice", key="one")

    assert first.content == second.content
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
    assert await closed_books_of(database, organization) == paid(1)


async def test_more_vectors_than_are_kept_leave_their_key_free(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    for _ in range(2):
        response = await embed(http, organization, MANY, encoding_format="base64", key="large")
        assert "Idempotent-Replayed" not in response.headers

    assert len((await closed_books_of(database, organization)).charges) == 2


async def test_a_client_that_hangs_up_has_its_key_answered_later(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    model = "sim-embed--first-token-slow-1"
    with pytest.raises(httpx.ReadTimeout):
        await http.post(
            PATH,
            json={"model": model, "input": "slow"},
            headers=organization.headers | {"Idempotency-Key": "slow"},
            timeout=0.3,
        )
    running = await embed(http, organization, "slow", model=model, key="slow")

    books = await closed_books_of(database, organization)
    replayed = await embed(http, organization, "slow", model=model, key="slow")

    assert (running.status_code, running.json()["error"]["code"]) == (409, "idempotency_key_in_progress")
    assert books == paid(1)
    assert replayed.headers["Idempotent-Replayed"] == "true"


async def test_requests_at_once_are_charged_each(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    responses = await asyncio.gather(*(embed(http, organization, f"at once {number}") for number in range(20)))

    assert {response.status_code for response in responses} == {200}
    books = await closed_books_of(database, organization)
    assert sorted(books.charges) == sorted(each.json()["usage"]["prompt_tokens"] * MILLIONTH for each in responses)


async def test_openais_client_reads_the_vectors(stack: Stack, priced: Database, organization: Organization) -> None:
    async with openai.AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key=organization.api_key) as client:
        # It asks for base64 unless it is told otherwise.
        default = await client.embeddings.create(model="sim-embed", input=["one", "two"])
        floats = await client.embeddings.create(model="sim-embed", input=["one", "two"], encoding_format="float")

    assert [each.embedding for each in default.data] == [each.embedding for each in floats.data]
    assert default.usage.prompt_tokens == 2


@pytest.mark.parametrize("by", ["body", "header"])
async def test_a_request_costs_no_more_than_it_may(
    http: httpx.AsyncClient, database: Database, organization: Organization, by: str
) -> None:
    async def ask(most: str) -> httpx.Response:
        limit: dict[str, Any] = {"max_credits": most} if by == "body" else {}
        headers = organization.headers | ({} if by == "body" else {"X-Max-Credits": most})
        return await http.post(PATH, json={"model": "sim-embed", "input": "words", **limit}, headers=headers)

    # Five bytes, and sixteen for what a model puts around them.
    refused, served = await ask("0.00002"), await ask("0.000021")

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "max_credits_reached")
    assert served.status_code == 200
    assert (await books_of(database, organization)).holds == ["settled"]


async def test_a_key_pays_no_more_than_it_may(http: httpx.AsyncClient, database: Database) -> None:
    limited = await factories.make_organization(database)
    await limit_key(database, limited, "0.000001")

    refused = await embed(http, limited, "words")

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "key_cap_reached")
    assert (await books_of(database, limited)).holds == []
    await limit_key(database, limited, "1")
    assert (await embed(http, limited, "words")).status_code == 200
    assert await spend_of(database, limited) == (Decimal(0), (await books_of(database, limited)).total)
