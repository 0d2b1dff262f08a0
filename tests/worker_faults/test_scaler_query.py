"""The query by which KEDA chooses the number of workers counts what the product itself calls due, row by row."""

from itertools import product

import asyncpg
import pytest

from app.generations.due import find_due_kinds
from app.generations.states import State
from tests.deploy_files.chart import of_kind
from tests.docs.files import block
from tests.worker.workbench import Workbench
from tests.worker_faults.test_transitions import trial_in

_PAST, _FUTURE = "now() - interval '1 second'", "now() + interval '1 hour'"
_ALONE = "UPDATE generations SET deadline_at = now() - interval '1 hour' WHERE id <> $1"


@pytest.fixture(scope="module")
def query() -> str:
    """The query as the chart gives it to KEDA. Rendering takes longer than Postgres lets a transaction be silent."""
    (scaled,) = of_kind("scaled", "ScaledObject").values()
    (trigger,) = scaled["spec"]["triggers"]
    rendered: str = trigger["metadata"]["query"]
    return rendered


@pytest.mark.parametrize("state", State)
async def test_a_row_counts_exactly_when_the_product_calls_it_due(
    workbench: Workbench, query: str, state: State
) -> None:
    trial = await trial_in(workbench, state, is_full=False)
    found = {}

    for due_at, deadline_at in product((_PAST, _FUTURE), repeat=2):
        async with workbench.resources.database.transaction() as tx:
            await tx.execute(_ALONE, trial.row.id)
            await tx.execute(
                f"UPDATE generations SET due_at = {due_at}, deadline_at = {deadline_at} WHERE id = $1", trial.row.id
            )
            found[due_at, deadline_at] = await tx.fetchval(query)
            assert found[due_at, deadline_at] == len(await find_due_kinds(tx))

    # Parked ones wait for their organization's turn, which more workers would not bring about.
    is_waiting = state in {State.PENDING, State.COPYING}
    assert found == {when: int(is_waiting and when == (_PAST, _FUTURE)) for when in found}


async def test_all_due_rows_are_counted(workbench: Workbench, query: str) -> None:
    rows = [
        (await trial_in(workbench, state, is_full=False)).row.id
        for state in (State.PENDING, State.PENDING, State.PENDING, State.COPYING, State.COPYING, State.PARKED)
    ]

    async with workbench.resources.database.transaction() as tx:
        await tx.execute(f"UPDATE generations SET deadline_at = {_PAST}")
        await tx.execute(
            f"UPDATE generations SET due_at = {_PAST}, deadline_at = {_FUTURE} WHERE id = ANY ($1::uuid[])", rows
        )
        assert await tx.fetchval(query) == 5


async def test_a_role_with_the_documented_rights_may_ask(site: dict[str, str], query: str) -> None:
    connection = await asyncpg.connect(site["DATABASE_URL"])
    # Never committed: roles belong to the whole server.
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(block("docs/kubernetes.md", "sql").replace("…", "of-the-test"))
        await connection.execute("SET LOCAL ROLE keda")
        assert await connection.fetchval(query) >= 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("SELECT prompt FROM generations")
    finally:
        await transaction.rollback()
        await connection.close()
