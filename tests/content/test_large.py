"""A page of contents costs no more memory than what it shows, and no content that is stored can make it fail."""

import tracemalloc
import uuid
from collections.abc import Awaitable, Callable

import httpx
import pytest

from app.content import service
from app.content.repository import ContentFilter
from app.content.schemas import ContentPageRead
from app.content.urls import FileUrls
from app.core.database import Database, Transaction
from app.resources import open_resources
from tests.conftest import Stack
from tests.content.contents import insert_content
from tests.core.sites import settings_of
from tests.factories import Organization

_MB = 1024**2
_COUNT = 10
_DIGITS = "1" * 400

# Postgres stores all of these, and neither orjson nor pydantic takes any of them.
ODD = {
    "a number too large for a float": (
        f'{{"seed": {_DIGITS}, "prompt": "a lighthouse"}}',
        {"seed": None, "prompt": "a lighthouse"},
    ),
    "300 levels": ('{"a": ' + "[" * 300 + "]" * 300 + "}", {}),
    "3000 levels": ('{"a": ' + "[" * 3000 + "]" * 3000 + "}", {}),
    "no object": (_DIGITS, {}),
}


async def replace_json(database: Database, content_id: uuid.UUID, name: str, text: str) -> None:
    """Store JSON as another version of the server may have stored it."""
    async with database.transaction() as tx:
        await tx.execute(f"UPDATE generations SET {name} = $2::text::jsonb WHERE id = $1", content_id, text)


@pytest.fixture
async def large(database: Database, organization: Organization) -> list[uuid.UUID]:
    """Contents with megabytes in each column that a list does not show, or not in full."""
    made = [(await insert_content(database, organization)).id for _ in range(_COUNT)]
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE generations SET prompt = repeat('ä', 1000000), input = to_jsonb(repeat(md5(id::text), 100000)),"
            " outcome = jsonb_build_object('output', repeat(md5(id::text), 150000)) WHERE organization_id = $1",
            organization.id,
        )
    return made


async def peak_of(database: Database, action: Callable[[Transaction], Awaitable[object]]) -> int:
    """By how many bytes the memory grew at most while something was done in a transaction."""
    async with database.transaction() as tx:
        await action(tx)  # compiles the statements
    async with database.transaction() as tx:
        tracemalloc.start()
        try:
            await action(tx)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


async def test_a_list_does_not_load_what_it_does_not_show(
    database: Database, organization: Organization, large: list[uuid.UUID], stack: Stack
) -> None:
    async with open_resources(settings_of(stack.environment)) as resources:
        urls = FileUrls(resources.store, stack.url)

        async def list_all(tx: Transaction) -> None:
            page = await service.list_content(tx, ContentFilter(organization.id), page=1, page_size=100)
            assert [item.prompt for item in ContentPageRead.of(page, urls).items] == ["ä" * 200 + "…"] * _COUNT

        assert await peak_of(database, list_all) < _MB


async def test_the_state_of_a_content_does_not_include_what_only_its_detail_shows(
    database: Database, organization: Organization, large: list[uuid.UUID]
) -> None:
    """An agent's tool asks for it several times a second."""

    async def look(tx: Transaction) -> None:
        await service.get_content(tx, organization.id, str(large[0]))

    assert await peak_of(database, look) < _MB


async def test_a_detail_does_not_load_the_vendors_answer(
    database: Database, client: httpx.AsyncClient, organization: Organization
) -> None:
    content = await insert_content(database, organization)
    await replace_json(database, content.id, "outcome", f'{{"output": "{"x" * 8 * _MB}"}}')

    async def look(tx: Transaction) -> None:
        await service.get_whole_content(tx, organization.id, str(content.id))

    assert await peak_of(database, look) < _MB
    assert (await client.get(f"/content/{content.id}")).status_code == 200


@pytest.mark.parametrize("text", [text for text, _ in ODD.values()], ids=ODD)
async def test_an_answer_that_cannot_be_read_fails_no_page_and_no_retry(
    client: httpx.AsyncClient, database: Database, organization: Organization, text: str
) -> None:
    content = await insert_content(database, organization, "failed")
    await insert_content(database, organization)
    await replace_json(database, content.id, "outcome", text)

    listed = await client.get("/content")
    detail = await client.get(f"/content/{content.id}")
    retried = await client.post(f"/content/{content.id}/retry")

    assert (listed.status_code, listed.json()["total"]) == (200, 2)
    assert (detail.status_code, detail.json()["replicate_input"]) == (200, {"prompt": "a lighthouse"})
    assert retried.status_code == 200


@pytest.mark.parametrize(("text", "shown"), ODD.values(), ids=ODD)
async def test_an_input_that_cannot_be_read_fails_no_page_and_no_retry(
    client: httpx.AsyncClient, database: Database, organization: Organization, text: str, shown: dict[str, object]
) -> None:
    content = await insert_content(database, organization, "failed")
    await replace_json(database, content.id, "input", text)

    listed = await client.get("/content")
    detail = await client.get(f"/content/{content.id}")
    retried = await client.post(f"/content/{content.id}/retry")

    assert (listed.status_code, listed.json()["total"]) == (200, 1)
    assert (detail.status_code, detail.json()["replicate_input"]) == (200, shown)
    assert retried.status_code == 200
