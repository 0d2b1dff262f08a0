import asyncio
import secrets
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.audit.actor import COMMAND_LINE
from app.core.clock import now
from app.core.database import Database
from app.credits import service as credits
from tests import factories
from tests.conftest import Stack
from tests.content.contents import insert_content
from tests.content.shelves import Shelf
from tests.factories import Organization
from tests.waiting import PATIENCE

CEILING = Decimal("0.012")  # of simulator/image, in the tests' catalog


async def hold_of(database: Database, content_id: object, attempt: int) -> Decimal | None:
    """The amount that was held for an attempt of a content."""
    async with database.transaction() as tx:
        amount: Decimal | None = await tx.fetchval(
            "SELECT amount FROM credit_holds WHERE reference = $1", f"generation:{content_id}:{attempt}"
        )
    return amount


async def test_a_failed_content_is_queued_again(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    content = await insert_content(database, organization, "failed")

    response = await client.post(f"/content/{content.id}/retry")

    assert response.status_code == 200
    assert response.json() == {
        "success": True,
        "message": "Content generation retry queued (attempt 1/3)",
        "generation_id": str(content.id),
    }
    assert list(response.json()) == ["success", "message", "generation_id"]
    assert await hold_of(database, content.id, 1) == CEILING


async def test_a_retry_clears_the_failure(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    content = await insert_content(database, organization, "failed", retry_count=1)

    response = await client.post(f"/content/{content.id}/retry")

    detail = (await client.get(f"/content/{content.id}")).json()
    assert response.json()["message"] == "Content generation retry queued (attempt 2/3)"
    assert detail["status"] != "failed"
    assert (detail["retry_count"], detail["error_message"]) == (2, None)
    assert detail["replicate_prediction_id"] != content.prediction_id
    assert detail["replicate_input"] == content.input
    assert detail["created_at"] == content.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("status", ["pending", "processing", "completed"])
async def test_only_a_failed_content_can_be_retried(
    client: httpx.AsyncClient, database: Database, organization: Organization, status: str
) -> None:
    content = await insert_content(database, organization, status)

    response = await client.post(f"/content/{content.id}/retry")

    assert response.status_code == 400
    assert response.json() == {
        "detail": f"Cannot retry content with status '{status}'. Only failed content can be retried."
    }
    assert await hold_of(database, content.id, 1) is None


@pytest.mark.parametrize(("retry_count", "max_retries"), [(3, 3), (0, 0), (7, 7)])
async def test_retries_end_at_the_contents_maximum(
    client: httpx.AsyncClient, database: Database, organization: Organization, retry_count: int, max_retries: int
) -> None:
    content = await insert_content(database, organization, "failed", retry_count=retry_count, max_retries=max_retries)

    response = await client.post(f"/content/{content.id}/retry")

    assert response.status_code == 400
    assert response.json() == {"detail": f"Maximum retry attempts ({max_retries}) reached for this content."}


async def test_the_last_allowed_retry_is_accepted(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    content = await insert_content(database, organization, "failed", retry_count=2)

    response = await client.post(f"/content/{content.id}/retry")

    assert response.json()["message"] == "Content generation retry queued (attempt 3/3)"


async def test_only_one_of_many_simultaneous_retries_is_queued(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    content = await insert_content(database, organization, "failed")

    responses = await asyncio.gather(*(client.post(f"/content/{content.id}/retry") for _ in range(12)))

    assert Counter(response.status_code for response in responses) == {200: 1, 400: 11}
    # The status in it depends on how far the worker has come with the retry that was queued.
    page = {
        f"Cannot retry content with status '{status}'. Only failed content can be retried."
        for status in ("pending", "processing", "completed")
    }
    assert {response.json()["detail"] for response in responses if response.status_code == 400} <= page
    assert (await client.get(f"/content/{content.id}")).json()["retry_count"] == 1
    assert await hold_of(database, content.id, 2) is None


async def test_a_retry_without_credits_is_refused_and_possible_later(stack: Stack, database: Database) -> None:
    poor = await factories.make_organization(database, credit="0.011999")
    content = await insert_content(database, poor, "failed")
    async with httpx.AsyncClient(base_url=stack.base_url, headers=poor.headers, timeout=PATIENCE) as client:
        before = (await client.get(f"/content/{content.id}")).json()
        refused = await client.post(f"/content/{content.id}/retry")

        assert refused.status_code == 402
        assert refused.json() == {
            "error": {
                "message": "Not enough credits for request",
                "type": "billing_error",
                "code": "insufficient_credits",
            }
        }
        assert (await client.get(f"/content/{content.id}")).json() == before
        assert (await factories.balance_of(database, poor)).held == 0

        await give(database, poor, "0.000001")
        queued = await client.post(f"/content/{content.id}/retry")

    assert queued.json()["message"] == "Content generation retry queued (attempt 1/3)"


async def test_a_content_that_cannot_be_retried_is_refused_before_credits_are_checked(
    stack: Stack, database: Database, one_of_each: Shelf
) -> None:
    """Another organization's content is not found, and a completed one is not retried, whatever the credits."""
    poor = await factories.make_organization(database, credit="0")
    completed = await insert_content(database, poor)
    async with httpx.AsyncClient(base_url=stack.base_url, headers=poor.headers, timeout=PATIENCE) as client:
        others = await client.post(f"/content/{one_of_each.ids[0]}/retry")
        own = await client.post(f"/content/{completed.id}/retry")

    assert (others.status_code, own.status_code) == (404, 400)


async def test_a_retry_is_held_for_at_todays_price(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    model = f"simulator/{secrets.token_hex(6)}"
    await factories.price_models(database, model, ceiling="0.5")
    content = await insert_content(database, organization, "failed", model=model)
    await factories.price_models(database, model, ceiling="0.7")

    (await client.post(f"/content/{content.id}/retry")).raise_for_status()

    assert await hold_of(database, content.id, 1) == Decimal("0.7")


async def test_a_model_that_is_no_longer_offered_is_refused_in_the_content_apis_form(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    content = await insert_content(database, organization, "failed", model="owner/withdrawn")

    response = await client.post(f"/content/{content.id}/retry")

    assert response.status_code == 400
    assert response.json() == {"detail": "Unknown model: owner/withdrawn"}
    assert (await client.get(f"/content/{content.id}")).json()["status"] == "failed"


async def test_a_model_without_a_price_is_refused_and_must_not_be_retried(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    model = f"simulator/{secrets.token_hex(6)}"
    later = (now() + timedelta(hours=1)).isoformat()
    await factories.import_catalog(
        database,
        f'[[models]]\nname = "{model}"\nkind = "generation"\nprice = {{ ceiling = 1, effective_at = {later} }}',
    )
    content = await insert_content(database, organization, "failed", model=model)

    response = await client.post(f"/content/{content.id}/retry")

    assert response.status_code == 502
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("provider_error", "model_not_priced")
    assert f"junis catalog price {model} --per-output … --ceiling …" in error["message"]
    assert response.headers["x-should-retry"] == "false"


async def give(database: Database, organization: Organization, amount: str) -> None:
    """Grant more credits."""
    async with database.transaction() as tx:
        await credits.grant(
            tx,
            organization_id=organization.id,
            amount=Decimal(amount),
            reference=f"gift:{organization.id}",
            actor=COMMAND_LINE,
        )


@pytest.mark.parametrize("by", ["body", "header"])
async def test_a_retry_costs_no_more_than_it_may(
    client: httpx.AsyncClient, database: Database, organization: Organization, by: str
) -> None:
    model = f"simulator/{secrets.token_hex(6)}"
    await factories.price_models(database, model, ceiling="0.5")
    content = await insert_content(database, organization, "failed", model=model)

    async def retry(most: str) -> httpx.Response:
        given: dict[str, Any] = (
            {"json": {"max_credits": most}} if by == "body" else {"headers": {"X-Max-Credits": most}}
        )
        return await client.post(f"/content/{content.id}/retry", **given)

    refused, wrong, queued = await retry("0.499999"), await retry("none"), await retry("0.5")

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "max_credits_reached")
    assert (wrong.status_code, queued.status_code) == (400, 200)
    assert await hold_of(database, content.id, 1) == Decimal("0.5")
