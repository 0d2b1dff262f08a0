import asyncio
import base64
import secrets
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from app.core.database import Database
from tests import factories
from tests.chat.asking import open_http
from tests.chat.books import books_of
from tests.chat.turns.rows import let_leases_run_out
from tests.conftest import Stack
from tests.credits.capped import limit_key, spend_of
from tests.factories import Organization
from tests.max_credits import WAYS, limited
from tests.programs import api_process, running_apis
from tests.waiting import until

PATH = "/v1/images/generations"
PNG = b"\x89PNG\r\n\x1a\n"


async def make(
    http: httpx.AsyncClient, organization: Organization, *, key: str | None = None, **body: Any
) -> httpx.Response:
    headers = organization.headers | ({"Idempotency-Key": key} if key else {})
    return await http.post(PATH, json={"prompt": "A lighthouse", **body}, headers=headers)


async def contents_of(http: httpx.AsyncClient, organization: Organization) -> list[dict[str, Any]]:
    page = (await http.get("/content", headers=organization.headers)).raise_for_status().json()
    items: list[dict[str, Any]] = page["items"]
    return items


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(PNG)
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


async def test_each_image_is_a_content_of_its_own(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    made = (await make(http, organization, n=3)).raise_for_status().json()

    contents = {each["id"]: each for each in await contents_of(http, organization)}
    assert len(contents) == 3
    assert {each["id"] for each in made["generated_content"]} == set(contents)
    assert [each["url"] for each in made["data"]] == [
        contents[each["id"]]["storage_url"] for each in made["generated_content"]
    ]
    for image in made["data"]:
        stored = (await http.get(image["url"])).raise_for_status().content
        assert base64.b64decode(image["b64_json"], validate=True) == stored
        assert stored.startswith(PNG)
    books = await books_of(database, organization)
    assert (books.charges, books.holds) == ([Decimal("0.003")] * 3, ["settled"] * 3)


async def test_only_urls_are_sent_if_they_are_enough(http: httpx.AsyncClient, organization: Organization) -> None:
    made = (await make(http, organization, response_format="url")).raise_for_status().json()

    assert [each.keys() for each in made["data"]] == [{"url"}]


@pytest.mark.parametrize(("size", "expected"), [("128x72", (128, 72)), ("small", (96, 64)), ("auto", (512, 512))])
async def test_fields_are_what_the_catalog_says(
    http: httpx.AsyncClient, organization: Organization, size: str, expected: tuple[int, int]
) -> None:
    made = (await make(http, organization, size=size, output_format="png")).raise_for_status().json()

    assert size_of(base64.b64decode(made["data"][0]["b64_json"])) == expected


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"size": "large"}, "size"),
        ({"quality": "high"}, "quality"),
        ({"background": "transparent"}, "background"),
        ({"output_format": "tiff"}, "output_format"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"prompt": ""}, "prompt"),
        ({"partial_images": 4}, "partial_images"),
        ({"style": "vivid"}, "style"),
        ({"model": "simulator/video"}, "model"),
        ({"model": "no/such"}, "model"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_named(
    http: httpx.AsyncClient, database: Database, organization: Organization, body: dict[str, Any], param: str
) -> None:
    response = await make(http, organization, **body)

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "invalid_request", param)
    assert (await books_of(database, organization)).holds == []


async def test_all_images_are_held_for_or_none(http: httpx.AsyncClient, database: Database) -> None:
    poor = await factories.make_organization(database, credit="0.03")

    refused = await make(http, poor, n=3)
    served = await make(http, poor, n=2)

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_credits")
    assert served.status_code == 200
    assert len((await books_of(database, poor)).holds) == 2


async def test_images_that_cannot_be_made_are_an_error_and_free(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    response = await make(http, organization, model="simulator/image--fail", n=2)

    error = response.json()["error"]
    (content, _) = await contents_of(http, organization)
    assert (response.status_code, error["code"]) == (502, "generation_failed")
    assert error["message"] == content["error_message"]
    assert response.headers["x-should-retry"] == "false"
    assert (await books_of(database, organization)).charges == []


async def test_the_scope_is_asked_for(http: httpx.AsyncClient, database: Database, organization: Organization) -> None:
    key = await factories.make_key(database, organization)

    response = await http.post(PATH, json={"prompt": "A lighthouse"}, headers={"X-API-Key": key})

    assert (response.status_code, response.json()["error"]["code"]) == (403, "scope_not_allowed")


async def test_a_repeated_request_has_the_same_images(
    http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    first, second = [await make(http, organization, key="one", n=2) for _ in range(2)]

    assert first.json()["data"] == second.json()["data"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len((await books_of(database, organization)).charges) == 2


async def test_what_a_killed_request_has_asked_for_is_taken_over(
    stack: Stack, http: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    api = api_process(stack.environment, stack.folder / f"images-{secrets.token_hex(4)}.log")
    async with running_apis(api), open_http(api.url) as doomed:
        asking = asyncio.create_task(make(doomed, organization, key="killed", n=2))

        async def is_asked() -> bool:
            return len((await books_of(database, organization)).holds) == 2

        await until(is_asked)
        api.kill()
        await asyncio.gather(asking, return_exceptions=True)
    await let_leases_run_out(database, organization)

    made = (await make(http, organization, key="killed", n=2)).raise_for_status().json()

    assert {each["id"] for each in made["generated_content"]} == {
        each["id"] for each in await contents_of(http, organization)
    }
    assert (await books_of(database, organization)).charges == [Decimal("0.003")] * 2


async def test_images_that_take_too_long_are_left_to_be_read_later(
    stack: Stack, http: httpx.AsyncClient, organization: Organization
) -> None:
    settings = {**stack.environment, "IMAGES_WAIT_SECONDS": "1"}
    api = api_process(settings, stack.folder / f"images-{secrets.token_hex(4)}.log")
    async with running_apis(api), open_http(api.url) as hasty:
        response = await make(hasty, organization, model="simulator/image--slow-600")

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (504, "generation_unfinished")
    assert response.headers["x-should-retry"] == "false"
    assert error["content_ids"] == [each["id"] for each in await contents_of(http, organization)]


@pytest.mark.usefixtures("http")
async def test_openais_client_reads_the_images(stack: Stack, organization: Organization) -> None:
    async with openai.AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key=organization.api_key) as client:
        made = await client.images.generate(prompt="A lighthouse", n=2, extra_body={"size": "128x72"})

        stream = await client.images.generate(prompt="A lighthouse", n=2, stream=True)
        events = [event async for event in stream]

    assert [size_of(base64.b64decode(each.b64_json or "")) for each in made.data or []] == [(128, 72)] * 2
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    assert [size_of(base64.b64decode(event.b64_json)) for event in events] == [(512, 512)] * 2


@pytest.mark.parametrize("by", WAYS)
async def test_all_images_together_cost_no_more_than_the_request_may(
    http: httpx.AsyncClient, database: Database, by: str
) -> None:
    organization = await factories.make_organization(database)

    async def ask(most: str) -> httpx.Response:
        limit, headers = limited(organization, most, by)
        body = {"prompt": "A lighthouse", "n": 2, "response_format": "url", **limit}
        return await http.post(PATH, json=body, headers=headers)

    refused, served = await ask("0.023999"), await ask("0.024")

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "max_credits_reached")
    assert served.status_code == 200
    books = await books_of(database, organization)
    assert books.holds == ["settled"] * 2
    assert books.total <= Decimal("0.024")


async def test_a_key_pays_no_more_than_it_may(http: httpx.AsyncClient, database: Database) -> None:
    limited = await factories.make_organization(database)
    await limit_key(database, limited, "0.000001")

    refused = await make(http, limited)

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "key_cap_reached")
    assert (await books_of(database, limited)).holds == []
    await limit_key(database, limited, "1")
    assert (await make(http, limited)).status_code == 200
    assert await spend_of(database, limited) == (Decimal(0), (await books_of(database, limited)).total)
