"""What there is to do is found for each kind of work, and nothing is found where there is none.

No worker runs at this site.
"""

from datetime import timedelta

import pytest

from app.generations.due import Work, find_work
from tests.worker.workbench import Workbench
from tests.worker_faults.test_conditions import ask_to_copy

_MODEL = "simulator/text"
_CALL = "INSERT INTO create_calls (generation_id, attempt, claim, sent_at, ended_at, result, prediction_id, due_at)"

# What is done to a generation that was just requested and is not due, and what there is to do then.
_CASES = {
    "nothing": ("SELECT $1::uuid", set()),
    "a start": ("UPDATE generations SET due_at = now() WHERE id = $1", {Work.WAKE_DUE}),
    "the deadline": ("UPDATE generations SET deadline_at = now() WHERE id = $1", {Work.END_LATE}),
    "parked": ("UPDATE generations SET is_parked = true WHERE id = $1", {Work.FILL_CAPACITY}),
    "an orphan": (
        "UPDATE generations SET status = 'processing', due_at = now() - interval '3 s' WHERE id = $1",
        {Work.ADOPT},
    ),
    "a silent call": (f"{_CALL} SELECT $1, 0, 1, now() - interval '1 h', NULL, NULL, NULL, NULL", {Work.ADOPT}),
    "a call in flight": (f"{_CALL} SELECT $1, 0, 1, now(), NULL, NULL, NULL, NULL", set()),
    "a lost call": (f"{_CALL} SELECT $1, 0, 1, now(), now(), 'lost', NULL, now()", {Work.ADOPT}),
    "a surplus prediction": (f"{_CALL} SELECT $1, 0, 1, now(), now(), 'lost', 'surplus', now()", {Work.CANCEL}),
}


@pytest.mark.parametrize("case", _CASES)
async def test_what_is_to_be_done_is_found(workbench: Workbench, case: str) -> None:
    statement, expected = _CASES[case]
    asked = await workbench.ask(_MODEL)
    await workbench.execute("UPDATE generations SET due_at = now() + interval '1 h' WHERE id = $1", asked)

    await workbench.execute(statement, asked)

    assert await found(workbench) == expected
    await forget(workbench, asked)
    assert await found(workbench) == set()


async def test_a_copy_that_is_due_is_found(workbench: Workbench) -> None:
    asked = await ask_to_copy(workbench)

    assert await found(workbench) == {Work.WAKE_DUE}
    await forget(workbench, asked)


async def found(workbench: Workbench) -> set[Work]:
    """What is to be done."""
    return await find_work(workbench.resources.database, silence=timedelta(seconds=60), grace=timedelta(seconds=1))


async def forget(workbench: Workbench, content_id: str) -> None:
    """Remove the generation and what belongs to it."""
    for statement in (
        "DELETE FROM create_calls WHERE generation_id = $1",
        "DELETE FROM attempts WHERE generation_id = $1",
        "DELETE FROM generations WHERE id = $1",
    ):
        await workbench.execute(statement, content_id)
