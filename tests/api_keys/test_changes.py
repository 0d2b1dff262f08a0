"""What can be changed of a key, and that every process follows at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.api_keys import service
from app.api_keys.key_request import KeyRequest
from app.api_keys.models import ApiKey
from app.api_keys.scopes import Scope
from app.audit.actor import COMMAND_LINE
from app.core.clock import now
from app.core.database import Database
from app.core.errors import InvalidRequestError, NotFoundError
from tests import factories
from tests.factories import Organization
from tests.waiting import until


async def new_key(database: Database, organization: Organization, **properties: Any) -> service.NewKey:
    request = KeyRequest(**{"name": "backend", **properties})
    async with database.transaction() as tx:
        return await service.create_key(
            tx, request, organization_id=organization.id, user_id=organization.user_id, actor=COMMAND_LINE
        )


async def change(database: Database, organization: Organization, key_id: str, **changes: Any) -> ApiKey:
    async with database.transaction() as tx:
        return await service.change_key(tx, organization.id, key_id, changes, actor=COMMAND_LINE)  # type: ignore[arg-type]


@contextmanager
def refused(*words: str) -> Iterator[None]:
    with pytest.raises(InvalidRequestError) as refusal:
        yield
    assert all(word in refusal.value.text for word in words)


async def test_what_is_left_out_stays_as_it_is(database: Database, organization: Organization) -> None:
    made = await new_key(database, organization, description="Of the shop", requests_per_minute=5)

    await change(database, organization, made.row.id, name="shop", requests_per_hour=50)

    async with database.transaction() as tx:
        key = await service.get_key(tx, organization.id, made.row.id)
    assert (key.name, key.description, key.requests_per_minute, key.requests_per_hour) == ("shop", "Of the shop", 5, 50)
    assert key.scopes == made.row.scopes


async def test_a_limit_can_be_left_to_the_plan_again(database: Database, organization: Organization) -> None:
    made = await new_key(database, organization, requests_per_minute=5)

    changed = await change(database, organization, made.row.id, requests_per_minute=None)

    assert changed.requests_per_minute is None


async def test_scopes_that_are_taken_away_are_refused_at_once(
    stack: Any, database: Database, organization: Organization
) -> None:
    made = await new_key(database, organization, scopes=[Scope.AGENTS_LIST])
    async with httpx.AsyncClient(base_url=stack.base_url, headers={"X-API-Key": made.secret}) as client:
        assert (await client.get("/agents")).status_code == 200

        await change(database, organization, made.row.id, scopes=[Scope.CONTENT_READ])

        async def is_refused() -> bool:
            response = await client.get("/agents")
            return response.status_code == 403

        await until(is_refused)
        assert (await client.get("/agents")).json()["error"]["code"] == "scope_not_allowed"


async def test_a_key_of_another_organization_is_not_found(database: Database, organization: Organization) -> None:
    made = await new_key(database, await factories.make_organization(database))

    with pytest.raises(NotFoundError):
        await change(database, organization, made.row.id, name="mine")
    with pytest.raises(NotFoundError):
        async with database.transaction() as tx:
            await service.get_key(tx, organization.id, made.row.id)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"name": " "}, "name"),
        ({"description": "d" * 301}, "300"),
        ({"scopes": ["content:all"]}, "content:all"),
        ({"requests_per_minute": 0}, "1000"),
        ({"requests_per_hour": 100_001}, "100000"),
    ],
    ids=["name", "description", "scopes", "a-minute", "an-hour"],
)
async def test_what_no_key_may_be_is_refused(
    database: Database, organization: Organization, changes: dict[str, Any], word: str
) -> None:
    made = await new_key(database, organization)

    with refused(word):
        await change(database, organization, made.row.id, **changes)


async def test_a_moment_that_is_over_is_refused(database: Database, organization: Organization) -> None:
    made = await new_key(database, organization)

    with refused("expired already"):
        await change(database, organization, made.row.id, expires_at=now() - timedelta(minutes=1))


async def test_a_key_that_is_revoked_stays_as_it_is(database: Database, organization: Organization) -> None:
    made = await new_key(database, organization)
    async with database.transaction() as tx:
        await service.revoke_key(tx, organization.id, made.row.id, actor=COMMAND_LINE)

    with refused("revoked"):
        await change(database, organization, made.row.id, name="again")


async def test_a_key_that_has_expired_stays_as_it_is(database: Database, organization: Organization) -> None:
    made = await new_key(database, organization, expires_at=now() + timedelta(days=1))
    async with database.transaction() as tx:
        await tx.execute("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = $1", made.row.id)

    with refused("expired"):
        await change(database, organization, made.row.id, expires_at=None)
