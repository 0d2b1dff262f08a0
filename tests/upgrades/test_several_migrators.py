"""Several `junis migrate` of one database at the same time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.core.paths import ALEMBIC_INI
from devstack.programs import Program
from tests.faults.postgres_proxy import PostgresProxy, postgres_proxy
from tests.upgrades.migrators import WAITING_FOR_TURN, has_printed, migrator, schema_of, status_of
from tests.upgrades.rows import OLDER_SCHEMA
from tests.waiting import until

_INDEX = b"CREATE UNIQUE INDEX CONCURRENTLY"
_SCRIPTS = ScriptDirectory.from_config(Config(ALEMBIC_INI))
_NEWER = [script.revision for script in _SCRIPTS.iterate_revisions("head", OLDER_SCHEMA)]


async def wait_for_turn(*waiting: Program) -> None:
    """Wait until all of them have said that they wait."""

    async def have_said_so() -> bool:
        return all(has_printed(program, WAITING_FOR_TURN) for program in waiting)

    await until(have_said_so)


def upgrades_in(*programs: Program) -> int:
    """How many migrations these have begun."""
    return sum(program.log.read_text().count("Running upgrade") for program in programs)


@dataclass(frozen=True)
class Queue:
    """One migrator that is held while it creates an index, and others that wait for their turn."""

    first: Program
    others: list[Program]
    proxy: PostgresProxy


@pytest.fixture
async def queue(older_url: str, tmp_path: Path) -> AsyncIterator[Queue]:
    async with postgres_proxy(older_url) as (proxy, url):
        first = migrator(url, tmp_path / "first.log")
        others = [migrator(older_url, tmp_path / f"other-{number}.log") for number in range(2)]
        proxy.hold_text(_INDEX)
        first.launch()
        await proxy.wait_until_held()
        for other in others:
            other.launch()
        await wait_for_turn(*others)
        yield Queue(first, others, proxy)


async def test_one_runs_and_the_others_wait_until_it_is_done(queue: Queue) -> None:
    """CREATE INDEX CONCURRENTLY waits for every older snapshot: those who wait for their turn must have none."""
    queue.proxy.let_pass()

    assert [await status_of(program) for program in (queue.first, *queue.others)] == [0, 0, 0]
    assert (upgrades_in(queue.first), upgrades_in(*queue.others)) == (len(_NEWER), 0)
    assert all(has_printed(program, "The database schema is up to date") for program in (queue.first, *queue.others))


async def test_if_the_one_that_runs_is_killed_another_one_goes_on(queue: Queue, older_url: str) -> None:
    queue.first.kill()
    # Postgres builds the index for a client that is gone.
    queue.proxy.let_pass()

    assert [await status_of(program) for program in queue.others] == [0, 0]
    # The one that creates the index is begun again.
    assert upgrades_in(*queue.others) == len(_NEWER) - 1
    assert ("version", _NEWER[0], "") in await schema_of(older_url)
