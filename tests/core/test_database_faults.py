"""What a pool of connections remembers of what Postgres has refused."""

from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from tests.core.sites import settings_of


@pytest.fixture
async def own_database(environment: dict[str, str]) -> AsyncIterator[Database]:
    """A pool whose faults no other test sees."""
    opened = Database.open(settings_of(environment), pool_size=1)
    yield opened
    await opened.close()


def refused_for_want_of_room() -> float:
    """How often Postgres has refused something because its disk is full, as the metrics say."""
    return REGISTRY.get_sample_value("junis_database_errors_total", {"reason": "full"}) or 0.0


async def refuse(database: Database, sqlstate: str) -> None:
    """Have Postgres refuse a statement with this code."""
    with pytest.raises(ServiceUnavailableError):
        await database.fetch(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$")


async def test_a_full_disk_is_remembered_and_counted_as_such(
    own_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    before = refused_for_want_of_room()
    assert not own_database.was_full

    await refuse(own_database, "53100")

    assert [own_database.was_full] == [True]
    assert refused_for_want_of_room() == before + 1
    (line,) = [record for record in caplog.records if record.message.startswith("database_")]
    assert (line.levelname, line.message) == ("ERROR", "database_full")
    assert line.__dict__["reason"] == "The disk of Postgres is full"


@pytest.mark.parametrize("sqlstate", ["53300", "57P01", "25006", "28000"])
async def test_other_refusals_are_no_full_disk(own_database: Database, sqlstate: str) -> None:
    await refuse(own_database, sqlstate)

    assert not own_database.was_full
