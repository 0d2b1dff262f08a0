import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from app.core.clock import now
from app.core.database import Database
from tests import factories
from tests.content.contents import insert_content
from tests.content.shelves import Shelf
from tests.factories import Organization


async def test_an_organization_without_content_has_an_empty_page(reader: httpx.AsyncClient) -> None:
    response = await reader.get("/content")

    assert response.status_code == 200
    assert response.json() == {"items": [], "total": 0, "page": 1, "page_size": 20, "has_more": False}
    assert list(response.json()) == ["items", "total", "page", "page_size", "has_more"]


async def test_the_newest_comes_first(five: Shelf) -> None:
    page = await five.page()

    assert [item["id"] for item in page["items"]] == five.ids
    assert (page["total"], page["has_more"]) == (5, False)


async def test_contents_of_the_same_time_have_one_order_on_all_pages(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    moment = now()
    made = [await insert_content(database, organization, created_at=moment) for _ in range(6)]

    pages = [(await client.get("/content", params={"page": page, "page_size": 2})).json() for page in (1, 2, 3)]

    listed = [item["id"] for page in pages for item in page["items"]]
    assert listed == sorted((str(content.id) for content in made), reverse=True)


@pytest.mark.parametrize(
    ("page", "page_size", "expected", "has_more"),
    [
        (1, 2, slice(0, 2), True),
        (2, 2, slice(2, 4), True),
        (3, 2, slice(4, 5), False),
        (4, 2, slice(0, 0), False),
        (1, 4, slice(0, 4), True),
        (1, 5, slice(0, 5), False),
        (5, 1, slice(4, 5), False),
        (1, 100, slice(0, 5), False),
        (2**31 - 1, 100, slice(0, 0), False),
    ],
)
async def test_a_page_says_whether_more_follow(
    five: Shelf, page: int, page_size: int, expected: slice, has_more: bool
) -> None:
    answer = await five.page(page=page, page_size=page_size)

    assert [item["id"] for item in answer["items"]] == five.ids[expected]
    assert answer["has_more"] is has_more
    assert (answer["total"], answer["page"], answer["page_size"]) == (5, page, page_size)


@pytest.mark.parametrize("value", ["0", "-1", "abc", "1.5", "", "2147483648", "9" * 30, "1e3", "٣x", "NaN"])
async def test_a_bad_page_is_refused_with_the_allowed_range(reader: httpx.AsyncClient, value: str) -> None:
    response = await reader.get("/content", params={"page": value})

    assert response.status_code == 400
    assert response.json() == {"detail": f"Invalid page '{value}'. Must be an integer between 1 and 2147483647"}


@pytest.mark.parametrize("value", ["0", "-1", "101", "abc", "1.5", "", "9" * 30])
async def test_a_bad_page_size_is_refused_with_the_allowed_range(reader: httpx.AsyncClient, value: str) -> None:
    response = await reader.get("/content", params={"page_size": value})

    assert response.status_code == 400
    assert response.json() == {"detail": f"Invalid page_size '{value}'. Must be an integer between 1 and 100"}


@pytest.mark.parametrize("length", [0, 1, 199, 200])
async def test_a_prompt_of_at_most_200_characters_is_listed_whole(
    client: httpx.AsyncClient, database: Database, organization: Organization, length: int
) -> None:
    await insert_content(database, organization, prompt="ü" * length)

    (item,) = (await client.get("/content")).json()["items"]

    assert item["prompt"] == "ü" * length


async def test_a_longer_prompt_is_cut_in_the_list_and_whole_in_the_detail(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    prompt = "🦊" * 200 + "!"
    content = await insert_content(database, organization, prompt=prompt)

    (item,) = (await client.get("/content")).json()["items"]
    detail = (await client.get(f"/content/{content.id}")).json()

    assert item["prompt"] == "🦊" * 200 + "…"
    assert detail["prompt"] == prompt


@pytest.mark.parametrize("status", ["pending", "processing", "failed"])
async def test_content_that_is_not_completed_has_no_type_and_no_file(
    client: httpx.AsyncClient, database: Database, organization: Organization, status: str
) -> None:
    await insert_content(database, organization, status)

    (item,) = (await client.get("/content")).json()["items"]

    assert item["status"] == status
    assert (item["content_type"], item["storage_url"], item["output_url"]) == (None, None, None)


@pytest.mark.parametrize("cost", ["0.05", "0.000001", "0", "12.345678", "1234567.654321"])
async def test_a_cost_is_a_json_number_of_at_most_six_decimals(
    client: httpx.AsyncClient, database: Database, organization: Organization, cost: str
) -> None:
    content = await insert_content(database, organization, credit_cost=Decimal(cost))

    listed = json.loads((await client.get("/content")).text, parse_float=Decimal)["items"][0]
    detail = json.loads((await client.get(f"/content/{content.id}")).text, parse_float=Decimal)

    assert listed["credit_cost"] == detail["credit_cost"] == Decimal(cost)


async def test_times_are_whole_seconds_in_utc_and_durations_whole_milliseconds(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    created_at = datetime(2025, 12, 6, 10, 30, 0, 900_000, UTC)
    await insert_content(
        database,
        organization,
        created_at=created_at,
        started_at=created_at + timedelta(seconds=1),
        completed_at=created_at + timedelta(seconds=12, microseconds=500_999),
    )

    (item,) = (await client.get("/content")).json()["items"]

    assert item["created_at"] == "2025-12-06T10:30:00Z"
    assert item["completed_at"] == "2025-12-06T10:30:13Z"
    assert item["processing_time_ms"] == 12500


@pytest.mark.parametrize("milliseconds", [0, 1, 290, 1001, 4035, 8087, 1_800_001])
async def test_the_processing_time_is_exact_to_the_millisecond(
    client: httpx.AsyncClient, database: Database, organization: Organization, milliseconds: int
) -> None:
    created_at = now()
    completed_at = created_at + timedelta(milliseconds=milliseconds)
    await insert_content(database, organization, created_at=created_at, completed_at=completed_at)

    (item,) = (await client.get("/content")).json()["items"]

    assert item["processing_time_ms"] == milliseconds


async def test_content_of_other_organizations_is_not_listed(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    other = await factories.make_organization(database)
    await insert_content(database, other)
    own = await insert_content(database, organization)

    page = (await client.get("/content")).json()

    assert [item["id"] for item in page["items"]] == [str(own.id)]
    assert page["total"] == 1
