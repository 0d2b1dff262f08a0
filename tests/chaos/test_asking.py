"""A run waits for what still goes on, however slow the machine, and for nothing else."""

from time import monotonic

import pytest

from chaos.asking import wait_until_none
from chaos.tables import Postgres
from tests.conftest import Stack

PAST = 0.0


@pytest.fixture
def postgres(stack: Stack) -> Postgres:
    return Postgres(stack.environment["DATABASE_URL"])


async def test_the_deadline_is_no_end_while_there_are_fewer_and_fewer(postgres: Postgres) -> None:
    """Each look counts one less; the patience is shorter than all looks together."""
    await postgres.count("CREATE SEQUENCE looks")
    try:
        await wait_until_none(postgres, "SELECT greatest(0, 8 - nextval('looks'))", PAST, patience=2)

        assert await postgres.count("SELECT last_value FROM looks") == 8
    finally:
        await postgres.count("DROP SEQUENCE looks")


@pytest.mark.parametrize("query", ["SELECT 5", "SELECT 1 / 0"], ids=["as-many", "no-count"])
async def test_what_does_not_go_on_is_given_up(postgres: Postgres, query: str) -> None:
    began = monotonic()

    await wait_until_none(postgres, query, PAST, patience=0.6)

    assert monotonic() - began >= 0.6
