"""Several `junis migrate` of one database at the same time."""

from pathlib import Path

from devstack.programs import Program
from tests.faults.postgres_proxy import postgres_proxy
from tests.upgrades.migrators import WAITING_FOR_TURN, has_printed, migrator, schema_of, status_of
from tests.waiting import until

_INDEX = b"CREATE UNIQUE INDEX CONCURRENTLY"


async def wait_for_turn(*waiting: Program) -> None:
    """Wait until all of them have said that they wait."""

    async def have_said_so() -> bool:
        return all(has_printed(program, WAITING_FOR_TURN) for program in waiting)

    await until(have_said_so)


def upgrades_in(*programs: Program) -> int:
    """How many migrations these have begun."""
    return sum(program.log.read_text().count("Running upgrade") for program in programs)


async def test_one_runs_and_the_others_wait_until_it_is_done(older_url: str, tmp_path: Path) -> None:
    """CREATE INDEX CONCURRENTLY waits for every older snapshot: those who wait for their turn must have none."""
    async with postgres_proxy(older_url) as (proxy, url):
        first = migrator(url, tmp_path / "first.log")
        others = [migrator(older_url, tmp_path / f"other-{number}.log") for number in range(2)]
        proxy.hold_text(_INDEX)
        first.launch()
        await proxy.wait_until_held()
        for other in others:
            other.launch()
        await wait_for_turn(*others)

        proxy.let_pass()

        assert [await status_of(program) for program in (first, *others)] == [0, 0, 0]
    assert (upgrades_in(first), upgrades_in(*others)) == (2, 0)
    assert all(has_printed(program, "The database schema is up to date") for program in (first, *others))


async def test_if_the_one_that_runs_is_killed_another_one_goes_on(older_url: str, tmp_path: Path) -> None:
    async with postgres_proxy(older_url) as (proxy, url):
        first = migrator(url, tmp_path / "first.log")
        others = [migrator(older_url, tmp_path / f"other-{number}.log") for number in range(2)]
        proxy.hold_text(_INDEX)
        first.launch()
        await proxy.wait_until_held()
        for other in others:
            other.launch()
        await wait_for_turn(*others)

        first.kill()
        # Postgres builds the index for a client that is gone.
        proxy.let_pass()

        assert [await status_of(program) for program in others] == [0, 0]
    assert upgrades_in(*others) == 1
    assert ("version", "0014", "") in await schema_of(older_url)
