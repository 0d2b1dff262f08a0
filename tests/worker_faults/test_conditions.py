"""The conditions of the statements that end or move an attempt: each is tried with one of them not fulfilled.

No worker runs at this site.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.catalog.pricing import Cost
from app.core.database import Transaction
from app.generations import claims, completed_together, endings, outputs, progress
from app.generations.attempts import Attempt, AttemptLostError, ClaimedAttempt, Outcome, StoredFile
from app.generations.completed_together import Completion
from app.generations.media_types import TEXT
from tests.core.sites import settings_of
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench

_MODEL = "simulator/text"
_LEASE = timedelta(seconds=60)
_SOON = timedelta(0)
_HASH = "0" * 64

Step = Callable[[Transaction, Workbench, ClaimedAttempt], Awaitable[object]]


async def _complete(tx: Transaction, bench: Workbench, attempt: ClaimedAttempt) -> object:
    return await complete_with(tx, bench, attempt, "generation/other/reserved.txt")


async def _reserve(tx: Transaction, _: Workbench, attempt: ClaimedAttempt) -> object:
    try:
        return await outputs.reserve(tx, attempt, 0, TEXT)
    except AttemptLostError:
        return False


_OF_STARTS: Mapping[str, Step] = {
    "postpone": lambda tx, _, attempt: claims.postpone(tx, attempt, _SOON, is_failure=True),
    "set_prediction": lambda tx, _, attempt: progress.set_prediction(tx, attempt, uuid.uuid4().hex, _SOON),
    "fail": lambda tx, bench, attempt: endings.fail_claimed(
        tx, bench.resources.queue, bench.announce, attempt, "stale"
    ),
}
_OF_COPIES: Mapping[str, Step] = {
    "renew": lambda tx, _, attempt: claims.renew(tx, attempt, _LEASE),
    "hand_over": lambda tx, _, attempt: claims.hand_over(tx, attempt, _SOON, is_failure=True),
    "reserve": _reserve,
    "complete": _complete,
    "fail": lambda tx, bench, attempt: endings.fail_claimed(
        tx, bench.resources.queue, bench.announce, attempt, "stale"
    ),
}


@pytest.fixture
async def worker(site: dict[str, str]) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(settings_of(site)) as opened:
        yield opened


@pytest.mark.parametrize("step", _OF_STARTS)
async def test_the_holder_of_an_earlier_claim_cannot_move_a_start(
    workbench: Workbench, worker: ManualWorker, step: str
) -> None:
    asked = await workbench.ask(_MODEL)
    first = await worker.claim_start(asked)
    assert first is not None
    await workbench.let_lease_run_out(asked)
    async with worker.resources.database.transaction() as tx:
        (second,) = [o for o in await claims.claim_orphans(tx, 100, _SOON, _LEASE) if str(o.generation_id) == asked]

    await check_only_the_holder_can(workbench, _OF_STARTS[step], first, second)


@pytest.mark.parametrize("step", _OF_COPIES)
async def test_the_holder_of_an_earlier_claim_cannot_move_a_copy(
    workbench: Workbench, worker: ManualWorker, step: str
) -> None:
    asked = await ask_to_copy(workbench)
    first = await claim_copy(worker, asked)
    await reserve_path(workbench, first)
    await workbench.let_lease_run_out(asked)
    second = await claim_copy(worker, asked)

    await check_only_the_holder_can(workbench, _OF_COPIES[step], first, second)


async def test_no_attempt_is_completed_with_a_file_that_it_has_not_reserved(
    workbench: Workbench, worker: ManualWorker
) -> None:
    asked = await ask_to_copy(workbench)
    claimed = await claim_copy(worker, asked)
    others = await claim_copy(worker, await ask_to_copy(workbench))
    async with worker.resources.database.transaction() as tx:
        path = (await outputs.reserve(tx, others, 0, TEXT)).storage_path

    for unreserved in (path, "generation/other/nobodys.txt"):
        async with worker.resources.database.transaction() as tx:
            assert not await complete_with(tx, workbench, claimed, unreserved)

    assert (await workbench.row(asked)).status == "processing"
    assert await workbench.charges(asked) == []


@pytest.mark.parametrize("change", ["attempt", "prediction", "none at all"])
async def test_an_outcome_counts_only_for_the_attempt_that_runs_its_prediction(
    workbench: Workbench, change: str
) -> None:
    asked = await ask_running(workbench)
    attempt = await attempt_of(workbench, asked)
    reported = {
        "attempt": replace(attempt, number=1),
        "prediction": replace(attempt, prediction_id="of another attempt"),
        "none at all": attempt,
    }[change]

    async with workbench.resources.database.transaction() as tx:
        stored = await progress.set_outcomes(tx, [Outcome(reported, '{"output": "words"}', None)])

    assert stored == (1 if reported is attempt else 0)
    assert ((await workbench.row(asked)).outcome is not None) == (reported is attempt)


async def test_an_outcome_is_stored_once(workbench: Workbench) -> None:
    """A second worker has read the prediction later, when the vendor had removed its output."""
    attempt = await attempt_of(workbench, asked := await ask_running(workbench))
    for text in ("first", "second"):
        async with workbench.resources.database.transaction() as tx:
            await progress.set_outcomes(tx, [Outcome(attempt, f'{{"output": "{text}"}}', None)])

    assert (await workbench.row(asked)).outcome == {"output": "first"}


@pytest.mark.parametrize(("attempt", "is_noted"), [(1, False), (0, True)])
async def test_a_webhook_that_names_another_attempt_assigns_no_prediction(
    workbench: Workbench, worker: ManualWorker, attempt: int, is_noted: bool
) -> None:
    """The create call of that attempt was never answered: only the webhook says whose the prediction is."""
    asked = await workbench.ask(_MODEL)
    claimed = await worker.claim_start(asked)
    assert claimed is not None
    made = uuid.uuid4().hex

    async with workbench.resources.database.transaction() as tx:
        nonce = claimed.webhook_nonce
        noted = await progress.note_callback(tx, claimed.generation_id, attempt, nonce, made)
    assert (noted is not None) == is_noted

    assert (await workbench.row(asked)).prediction_id == (made if is_noted else None)


async def test_the_failure_of_another_prediction_does_not_end_an_attempt(workbench: Workbench) -> None:
    attempt = await attempt_of(workbench, asked := await ask_running(workbench))
    stale = replace(attempt, prediction_id="of another attempt")

    async with workbench.resources.database.transaction() as tx:
        assert not await endings.fail_running(tx, workbench.resources.queue, workbench.announce, stale, "it failed")

    assert (await workbench.row(asked)).status == "processing"


async def test_a_copy_that_was_claimed_since_it_was_found_late_goes_on(
    workbench: Workbench, worker: ManualWorker
) -> None:
    """The sweeper found it handed over at its deadline. Its lease has been renewed before the sweeper ends it."""
    asked = await ask_to_copy(workbench)
    claimed = await claim_copy(worker, asked)
    await workbench.execute("UPDATE generations SET deadline_at = now() WHERE id = $1", asked)

    async with workbench.resources.database.transaction() as tx:
        assert not await endings.fail_late(tx, workbench.resources.queue, workbench.announce, claimed, "late", _SOON)

    assert (await workbench.row(asked)).status == "processing"


async def test_what_is_verified_is_never_released(workbench: Workbench, worker: ManualWorker) -> None:
    asked = await ask_to_copy(workbench)
    claimed = await claim_copy(worker, asked)
    async with worker.resources.database.transaction() as tx:
        output = await outputs.reserve(tx, claimed, 0, TEXT)
        assert await complete_with(tx, workbench, claimed, output.storage_path)

    async with worker.resources.database.transaction() as tx:
        await outputs.release(tx, output)

    assert await workbench.reserved(asked) == [output.storage_path]


async def check_only_the_holder_can(
    workbench: Workbench, step: Step, first: ClaimedAttempt, second: ClaimedAttempt
) -> None:
    """Check that the step changes nothing for the holder of the first claim, and something for that of the second."""
    before = await snapshot(workbench, first)
    async with workbench.resources.database.transaction() as tx:
        assert not await step(tx, workbench, first)
    assert await snapshot(workbench, first) == before
    async with workbench.resources.database.transaction() as tx:
        assert await step(tx, workbench, second)


async def complete_with(tx: Transaction, bench: Workbench, attempt: ClaimedAttempt, path: str) -> bool:
    """Complete the attempt with a file at this path."""
    file = StoredFile(path, TEXT.content_type, 1, _HASH)
    completed = Completion(attempt, [file], Cost(Decimal(0)), None)
    return (
        await completed_together.complete(
            tx, bench.resources.queue, bench.announce, attempt.organization_id, [completed]
        )
    )[0]


async def ask_running(workbench: Workbench, model: str = _MODEL) -> str:
    """A content whose running prediction has the content's id."""
    asked = await workbench.ask(model)
    await workbench.execute(
        "UPDATE generations SET status = 'processing', started_at = now(), prediction_id = id WHERE id = $1", asked
    )
    return asked


async def ask_to_copy(workbench: Workbench, model: str = _MODEL) -> str:
    """A content whose outputs wait to be copied."""
    asked = await ask_running(workbench, model)
    await workbench.execute("""UPDATE generations SET outcome = '{"output": "words"}' WHERE id = $1""", asked)
    return asked


async def claim_copy(worker: ManualWorker, content_id: str) -> ClaimedAttempt:
    """Claim the content's copy, and do nothing with it."""
    (claimed,) = [each for each in (await worker.steps.copy.claim(1000)).rows if str(each.generation_id) == content_id]
    return claimed


async def reserve_path(workbench: Workbench, attempt: ClaimedAttempt) -> None:
    """Reserve the path that `_complete` completes with."""
    await workbench.execute(
        "INSERT INTO outputs (generation_id, attempt, position, lapses, storage_path, content_type, media_type)"
        " VALUES ($1, 0, 1, 0, 'generation/other/reserved.txt', 'other', 'text/plain')"
        " ON CONFLICT (storage_path) DO UPDATE SET generation_id = $1",
        str(attempt.generation_id),
    )


async def attempt_of(workbench: Workbench, content_id: str) -> Attempt:
    """The content's current attempt."""
    row = await workbench.row(content_id)
    return Attempt(row.id, row.retry_count, row.organization_id, row.prediction_id, row.started_at)


async def snapshot(workbench: Workbench, attempt: ClaimedAttempt) -> tuple[Any, ...]:
    """All columns of the content and of its outputs."""
    async with workbench.resources.database.transaction() as tx:
        row = await tx.fetchrow("SELECT * FROM generations WHERE id = $1", attempt.generation_id)
        files = await tx.fetch("SELECT * FROM outputs WHERE generation_id = $1", attempt.generation_id)
    return row, list(files)
