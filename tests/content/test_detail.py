from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.core.database import Database
from tests.conftest import Stack
from tests.content.contents import insert_content
from tests.content.shelves import Shelf
from tests.factories import Organization

CREATED = datetime(2025, 12, 6, 10, 30, 0, tzinfo=UTC)


async def test_a_completed_content_is_shown_as_documented(
    client: httpx.AsyncClient, database: Database, organization: Organization, stack: Stack
) -> None:
    content = await insert_content(
        database,
        organization,
        prediction_id=f"xyz-{organization.id}",
        created_at=CREATED,
        started_at=CREATED + timedelta(seconds=1),
        completed_at=CREATED + timedelta(seconds=12.5),
    )

    detail = (await client.get(f"/content/{content.id}")).json()

    assert detail == {
        "id": str(content.id),
        "organization_id": organization.id,
        "user_id": organization.user_id,
        "content_type": "image",
        "status": "completed",
        "prompt": "a lighthouse",
        "replicate_version": "simulator/image",
        "replicate_prediction_id": f"xyz-{organization.id}",
        "replicate_input": {"prompt": "a lighthouse"},
        "output_url": "https://example.com/a.png",
        "storage_path": f"generation/image/{content.id.hex}.png",
        "storage_url": f"{stack.url}/files/{content.file_token}/{content.id.hex}.png",
        "error_message": None,
        "retry_count": 0,
        "max_retries": 3,
        "credit_cost": 0.05,
        "processing_time_ms": 12500,
        "created_at": "2025-12-06T10:30:00Z",
        "started_at": "2025-12-06T10:30:01Z",
        "completed_at": "2025-12-06T10:30:12Z",
    }


async def test_a_pending_content_has_only_what_was_requested(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    content = await insert_content(database, organization, "pending", created_at=CREATED)

    detail = (await client.get(f"/content/{content.id}")).json()

    assert detail == {
        "id": str(content.id),
        "organization_id": organization.id,
        "user_id": organization.user_id,
        "content_type": None,
        "status": "pending",
        "prompt": "a lighthouse",
        "replicate_version": "simulator/image",
        "replicate_prediction_id": None,
        "replicate_input": {"prompt": "a lighthouse"},
        "output_url": None,
        "storage_path": None,
        "storage_url": None,
        "error_message": None,
        "retry_count": 0,
        "max_retries": 3,
        "credit_cost": None,
        "processing_time_ms": None,
        "created_at": "2025-12-06T10:30:00Z",
        "started_at": None,
        "completed_at": None,
    }


async def test_a_processing_content_has_a_prediction_and_a_start(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    content = await insert_content(
        database, organization, "processing", prediction_id=f"p-{organization.id}", started_at=CREATED
    )

    detail = (await client.get(f"/content/{content.id}")).json()

    assert detail["status"] == "processing"
    assert detail["replicate_prediction_id"] == f"p-{organization.id}"
    assert detail["started_at"] == "2025-12-06T10:30:00Z"
    unknown_yet = ("content_type", "storage_path", "storage_url", "credit_cost", "processing_time_ms", "completed_at")
    assert [detail[name] for name in unknown_yet] == [None] * len(unknown_yet)


async def test_a_failed_content_says_why_and_costs_nothing(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    content = await insert_content(database, organization, "failed", created_at=CREATED, completed_at=CREATED)

    detail = (await client.get(f"/content/{content.id}")).json()

    assert (detail["status"], detail["error_message"]) == ("failed", "NSFW content detected")
    assert (detail["credit_cost"], detail["processing_time_ms"]) == (0, 0)
    assert (detail["content_type"], detail["storage_path"], detail["storage_url"]) == (None, None, None)


async def test_the_input_is_shown_as_it_was_given(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    values = {"prompt": "ü\n\\u0000 <b>", "seed": 2**53, "guidance": 7.5, "loras": [{"scale": None}], "": True}
    content = await insert_content(database, organization, input=values)

    detail = (await client.get(f"/content/{content.id}")).json()

    assert detail["replicate_input"] == values


@pytest.mark.parametrize(
    "content_id",
    [
        "550e8400-e29b-41d4-a716-446655440000",
        "550E8400-E29B-41D4-A716-446655440000",
        "nope",
        "0",
        "550e8400-e29b-41d4-a716-44665544000",
        "550e8400-e29b-41d4-a716-446655440000'--",
        "ünknown",
        "a b",
    ],
)
@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("POST", "/retry")])
async def test_an_unknown_id_is_not_found(reader: httpx.AsyncClient, content_id: str, method: str, suffix: str) -> None:
    response = await reader.request(method, f"/content/{content_id}{suffix}")

    assert response.status_code == 404
    assert response.json() == {"detail": f"Content not found: {content_id}"}


async def test_a_nul_in_an_id_is_not_found_either(reader: httpx.AsyncClient) -> None:
    response = await reader.get("/content/%00")

    assert response.status_code == 404
    assert response.json() == {"detail": "Content not found: \0"}


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("POST", "/retry")])
async def test_content_of_other_organizations_is_not_found(
    reader: httpx.AsyncClient, one_of_each: Shelf, method: str, suffix: str
) -> None:
    for content_id in one_of_each.ids:
        response = await reader.request(method, f"/content/{content_id}{suffix}")

        assert response.status_code == 404
        assert response.json() == {"detail": f"Content not found: {content_id}"}


async def test_an_id_is_found_whatever_its_case(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    content = await insert_content(database, organization)

    response = await client.get(f"/content/{str(content.id).upper()}")

    assert response.json()["id"] == str(content.id)
