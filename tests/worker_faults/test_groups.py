"""Statements that are about several attempts: each of them gets its own answer, and none spoils it for the others.

No worker runs at this site.
"""

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from app.catalog.pricing import Cost
from app.credits import service as credits
from app.generations import completed_together, outputs, progress
from app.generations.attempts import ClaimedAttempt, StoredFile
from app.generations.completed_together import Completion
from app.generations.media_types import TEXT
from app.generations.outputs import Wanted
from app.generations.progress import Accepted
from tests import factories
from tests.core.sites import settings_of
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.test_conditions import ask_to_copy

# It is no model of the vendor's, so its first use here gives it a price.
_MODEL = "simulator/priced"
_SOON = timedelta(0)
_HASH = "0" * 64
# By this connection, since it has last reported them.
_ACCOUNT_UPDATES = "SELECT pg_stat_get_xact_tuples_updated('credit_accounts'::regclass)"


@pytest.fixture
async def worker(site: dict[str, str]) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(settings_of(site)) as opened:
        yield opened


@pytest.fixture
async def own(workbench: Workbench) -> Workbench:
    """A workbench whose organization nobody else uses."""
    return replace(workbench, organization=await factories.make_organization(workbench.resources.database))


async def test_each_response_is_stored_for_the_attempt_whose_own_it_is(own: Workbench, worker: ManualWorker) -> None:
    first, stale, robbed, second = await claim_starts(own, worker, 4)
    known = await _accept(worker, [Accepted(first, uuid.uuid4().hex)])
    assert known == [True]
    others = (await own.row(str(first.generation_id))).prediction_id or ""

    done = await _accept(
        worker,
        [
            Accepted(replace(stale, claim=stale.claim + 1), uuid.uuid4().hex),
            Accepted(robbed, others),
            Accepted(second, made := uuid.uuid4().hex),
        ],
    )

    assert done == [False, False, True]
    rows = [await own.row(str(each.generation_id)) for each in (stale, robbed, second)]
    assert [row.prediction_id for row in rows] == [None, None, made]
    assert await calls_of(own, second) == [("accepted", made)]
    assert await calls_of(own, robbed) == [(None, None)]


async def test_a_response_is_left_to_its_steps_if_an_earlier_call_has_made_a_prediction(
    own: Workbench, worker: ManualWorker
) -> None:
    """What the earlier call has made has to be cancelled, which only the steps do."""
    (claimed,) = await claim_starts(own, worker, 1)
    await own.execute(
        "INSERT INTO create_calls (generation_id, attempt, claim, result, ended_at, prediction_id)"
        " VALUES ($1, 0, 0, 'lost', now(), gen_random_uuid()::text)",
        str(claimed.generation_id),
    )

    assert await _accept(worker, [Accepted(claimed, uuid.uuid4().hex)]) == [False]


async def test_attempts_that_somebody_has_locked_are_left_out(own: Workbench, worker: ManualWorker) -> None:
    """The others do not wait for them: a wait for a lock ends after two seconds, and would fail them all."""
    locked, free = await claim_starts(own, worker, 2)

    async with own.resources.database.transaction() as tx:
        await tx.execute("SELECT FROM generations WHERE id = $1 FOR UPDATE", locked.generation_id)
        done = await _accept(worker, [Accepted(each, uuid.uuid4().hex) for each in (locked, free)])

    assert done == [False, True]


async def test_each_path_is_reserved_by_the_holder_of_the_claim(own: Workbench, worker: ManualWorker) -> None:
    stale, lapsed, taken, free = await claim_copies(own, worker, 4)
    await own.execute("UPDATE generations SET lapses = 1 WHERE id = $1", str(lapsed.generation_id))
    wanted = [Wanted(each, 0, TEXT) for each in (replace(stale, claim=stale.claim + 1), lapsed, taken, free)]
    await own.execute(
        "INSERT INTO outputs (generation_id, attempt, position, lapses, storage_path, content_type, media_type)"
        f" VALUES ($1, 0, 5, 0, '{wanted[2].plain.storage_path}', 'other', 'text/plain')",
        str(stale.generation_id),
    )

    done = await outputs.reserve_plain(worker.resources.database, wanted)

    assert done == [False, False, False, True]
    assert await own.reserved(str(free.generation_id)) == [wanted[3].plain.storage_path]
    assert await own.reserved(str(taken.generation_id)) == []
    # Asked again, the steps find the same path.
    assert await outputs.reserve_plain(worker.resources.database, wanted[3:]) == [False]
    async with worker.resources.database.transaction() as tx:
        assert await outputs.reserve(tx, free, 0, TEXT) == wanted[3].plain


async def test_completions_of_an_organization_update_its_account_once(own: Workbench, worker: ManualWorker) -> None:
    claimed = await claim_copies(own, worker, 5)
    wanted = [await whole(worker, attempt, "0.01") for attempt in claimed]

    async with own.resources.database.transaction() as tx:
        before = await tx.fetchval(_ACCOUNT_UPDATES)
        done = await completed_together.complete(tx, own.resources.queue, own.announce, own.organization.id, wanted)
        after = await tx.fetchval(_ACCOUNT_UPDATES)

    assert (done, after - before) == ([True] * 5, 1)
    for attempt in claimed:
        assert await own.charges(str(attempt.generation_id)) == [Decimal("0.01")]
        assert await own.held(str(attempt.generation_id)) == 0
        row = await own.row(str(attempt.generation_id))
        assert (row.status, row.credit_cost, row.outcome) == ("completed", Decimal("0.01"), None)
    await check_books(own)


async def test_completions_that_cannot_be_charged_together_are_charged_alone(
    own: Workbench, worker: ManualWorker
) -> None:
    stale, unreserved, above, voided, plain = await claim_copies(own, worker, 5)
    async with own.resources.database.transaction() as tx:
        reference = (await whole(worker, voided, "0.01")).reference
        await credits.void(tx, organization_id=own.organization.id, reference=reference)
    wanted = [
        replace(await whole(worker, stale, "0.01"), attempt=replace(stale, claim=stale.claim + 1)),
        Completion(unreserved, [StoredFile("nowhere", TEXT.content_type, 1, _HASH)], Cost(Decimal("0.01")), None),
        await whole(worker, above, "5"),
        await whole(worker, voided, "0.01"),
        await whole(worker, plain, "0.01"),
    ]

    done = await _complete(own, wanted)

    assert done == [False, False, True, True, True]
    charges = [await own.charges(str(each.attempt.generation_id)) for each in wanted]
    assert charges == [[], [], [Decimal(5)], [], [Decimal("0.01")]]
    rows = [await own.row(str(each.attempt.generation_id)) for each in wanted]
    assert [row.credit_cost for row in rows] == [None, None, Decimal(5), Decimal(0), Decimal("0.01")]
    await check_books(own)


async def test_all_files_of_each_attempt_are_verified(own: Workbench, worker: ManualWorker) -> None:
    first, second = await claim_copies(own, worker, 2)
    wanted = [await whole(worker, first, "0.01", files=3), await whole(worker, second, "0.01")]

    assert await _complete(own, wanted) == [True, True]

    for one in wanted:
        async with own.resources.database.transaction() as tx:
            rows = await tx.fetch(
                "SELECT storage_path, size_bytes, sha256 FROM outputs WHERE generation_id = $1",
                one.attempt.generation_id,
            )
        assert {tuple(row) for row in rows} == {(file.storage_path, file.size_bytes, file.sha256) for file in one.files}


async def claim_starts(own: Workbench, worker: ManualWorker, count: int) -> list[ClaimedAttempt]:
    """So many attempts that are about to call the vendor."""
    claimed = [await worker.claim_start(await own.ask(_MODEL)) for _ in range(count)]
    return [attempt for attempt in claimed if attempt]


async def claim_copies(own: Workbench, worker: ManualWorker, count: int) -> list[ClaimedAttempt]:
    """So many attempts whose outputs are about to be copied."""
    asked = [await ask_to_copy(own, _MODEL) for _ in range(count)]
    claimed = {str(each.generation_id): each for each in (await worker.steps.copy.claim(1000)).rows}
    return [claimed[content_id] for content_id in asked]


async def whole(worker: ManualWorker, attempt: ClaimedAttempt, cost: str, *, files: int = 1) -> Completion:
    """The completion of an attempt with files of its own."""
    async with worker.resources.database.transaction() as tx:
        reserved = [await outputs.reserve(tx, attempt, position, TEXT) for position in range(files)]
    stored = [
        StoredFile(output.storage_path, TEXT.content_type, size, f"{size:064}")
        for size, output in enumerate(reserved, 1)
    ]
    return Completion(attempt, stored, Cost(Decimal(cost)), None)


async def calls_of(own: Workbench, attempt: ClaimedAttempt) -> list[tuple[str | None, str | None]]:
    """Result and prediction of each create call of the attempt."""
    async with own.resources.database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT result, prediction_id FROM create_calls WHERE generation_id = $1 ORDER BY id", attempt.generation_id
        )
    return [(row["result"], row["prediction_id"]) for row in rows]


async def check_books(own: Workbench) -> None:
    """Check that balance, holds and entries of the organization agree."""
    async with own.resources.database.transaction() as tx:
        row = await tx.fetchrow(
            "SELECT balance, held, (SELECT sum(amount) FROM ledger_entries l WHERE l.organization_id = $1) AS entered,"
            " (SELECT coalesce(sum(amount), 0) FROM credit_holds h WHERE h.organization_id = $1 AND state = 'open')"
            " AS open, (SELECT balance_after FROM ledger_entries WHERE organization_id = $1 ORDER BY id DESC LIMIT 1)"
            " AS last FROM credit_accounts WHERE organization_id = $1",
            own.organization.id,
        )
    assert row is not None
    assert (row["balance"], row["held"], row["last"]) == (row["entered"], row["open"], row["entered"])


async def _accept(worker: ManualWorker, accepted: Sequence[Accepted]) -> list[bool]:
    return await progress.accept_plain(worker.resources.database, accepted, _SOON)


async def _complete(own: Workbench, completions: Sequence[Completion]) -> list[bool]:
    async with own.resources.database.transaction() as tx:
        return await completed_together.complete(
            tx, own.resources.queue, own.announce, own.organization.id, completions
        )
