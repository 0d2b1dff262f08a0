"""A new key is kept, encrypted, until it is shown once or a minute is over."""

from collections.abc import Mapping
from typing import Any

from app.api_keys import service, showing
from app.api_keys.key_request import KeyRequest
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.organizations.service import ensure_user
from tests.factories import Organization
from tests.waiting import until


async def keep(database: Database, organization: Organization) -> tuple[service.NewKey, str]:
    """A new key that is kept for showing, and its token."""
    async with database.transaction() as tx:
        new = await service.create_key(
            tx,
            KeyRequest(name="shown"),
            organization_id=organization.id,
            user_id=organization.user_id,
            actor=COMMAND_LINE,
        )
        token = await showing.keep_for_showing(tx, key_id=new.row.id, user_id=organization.user_id, secret=new.secret)
    return new, token


async def show(database: Database, key_id: str, user_id: str, token: str) -> str | None:
    async with database.transaction() as tx:
        return await showing.show_once(tx, key_id=key_id, user_id=user_id, token=token)


async def row_of(database: Database, key_id: str) -> Mapping[str, Any] | None:
    async with database.transaction() as tx:
        row = await tx.fetchrow("SELECT * FROM unshown_api_keys WHERE api_key_id = $1", key_id)
    return dict(row) if row else None


async def age(database: Database, key_id: str) -> None:
    """Let a minute pass for the key that is kept."""
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE unshown_api_keys SET expires_at = expires_at - interval '60 seconds' WHERE api_key_id = $1", key_id
        )


async def test_a_key_is_shown_once(database: Database, organization: Organization) -> None:
    new, token = await keep(database, organization)

    assert await show(database, new.row.id, organization.user_id, token) == new.secret

    assert await row_of(database, new.row.id) is None
    assert await show(database, new.row.id, organization.user_id, token) is None


async def test_the_row_cannot_be_read_without_the_token(database: Database, organization: Organization) -> None:
    new, token = await keep(database, organization)

    row = await row_of(database, new.row.id)

    assert row is not None
    for value in row.values():
        written = value if isinstance(value, bytes) else str(value).encode()
        assert new.secret.encode() not in written
        assert token.encode() not in written


async def test_a_wrong_token_shows_nothing_and_takes_nothing(database: Database, organization: Organization) -> None:
    new, token = await keep(database, organization)
    _, other = await keep(database, organization)

    for wrong in (other, token[:-2], token + "AA", "", "\N{SNOWMAN}", "=" * 50):
        assert await show(database, new.row.id, organization.user_id, wrong) is None

    assert await show(database, new.row.id, organization.user_id, token) == new.secret


async def test_another_user_is_not_shown_it(database: Database, organization: Organization) -> None:
    new, token = await keep(database, organization)
    async with database.transaction() as tx:
        other = await ensure_user(tx, f"other-{new.row.id}@example.com", actor=COMMAND_LINE)

    assert await show(database, new.row.id, other.id, token) is None


async def test_after_a_minute_it_is_not_shown(database: Database, organization: Organization) -> None:
    new, token = await keep(database, organization)

    await age(database, new.row.id)

    assert await show(database, new.row.id, organization.user_id, token) is None


async def test_the_next_key_removes_what_nobody_was_shown(database: Database, organization: Organization) -> None:
    new, _ = await keep(database, organization)
    await age(database, new.row.id)

    await keep(database, organization)

    assert await row_of(database, new.row.id) is None


async def test_the_worker_removes_what_nobody_was_shown(
    stack: Any, database: Database, organization: Organization
) -> None:
    new, _ = await keep(database, organization)
    await age(database, new.row.id)

    async def is_gone() -> bool:
        return await row_of(database, new.row.id) is None

    await until(is_gone)
