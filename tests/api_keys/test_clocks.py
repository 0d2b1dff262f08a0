"""When a key stops working is decided by the clock of Postgres, which all processes share."""

from datetime import UTC, datetime, timedelta

import pytest

from app.api_keys.cache import CallerCache
from app.api_keys.errors import InvalidApiKeyError
from app.api_keys.key_request import KeyRequest
from app.api_keys.service import NewKey, create_member_key, rotate_key
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from tests.clocks import Clocks
from tests.factories import Organization
from tests.waiting import until

EARLIER, LATER = datetime(2021, 12, 1, tzinfo=UTC), datetime(2031, 12, 1, tzinfo=UTC)


async def make_key(database: Database, organization: Organization, expires_in: timedelta) -> NewKey:
    async with database.transaction() as tx:
        return await create_member_key(
            tx, organization.id, KeyRequest(name="test"), expires_in=expires_in, actor=COMMAND_LINE
        )


@pytest.mark.parametrize("clock", [EARLIER, LATER])
async def test_a_key_works_for_as_long_as_was_asked(
    clocks: Clocks, organization: Organization, clock: datetime
) -> None:
    hour = timedelta(hours=1)
    async with clocks.at(clock) as database:
        new = await make_key(database, organization, hour)

        caller = await CallerCache(database).get(new.secret)

    assert new.row.expires_at == clock + hour
    assert caller.usable_for == hour


@pytest.mark.parametrize("clock", [EARLIER, LATER])
async def test_the_overlap_of_a_rotation_is_as_long_as_was_asked(
    clocks: Clocks, organization: Organization, clock: datetime
) -> None:
    async with clocks.at(clock) as database:
        old = await make_key(database, organization, timedelta(days=9))
        async with database.transaction() as tx:
            rotated = await rotate_key(tx, organization.id, old.row.id, actor=COMMAND_LINE)

        caller = await CallerCache(database).get(old.secret)

    assert rotated.old_works_until == clock + timedelta(hours=24)
    assert caller.usable_for == timedelta(hours=24)


@pytest.mark.parametrize("clock", [EARLIER, LATER])
async def test_a_cached_key_expires_without_being_read_again(
    clocks: Clocks, organization: Organization, clock: datetime
) -> None:
    async with clocks.at(clock) as database:
        new = await make_key(database, organization, timedelta(milliseconds=300))
        cache = CallerCache(database)
        await cache.get(new.secret)

        async def is_refused() -> bool:
            try:
                await cache.get(new.secret)
            except InvalidApiKeyError:
                return True
            return False

        await until(is_refused)
