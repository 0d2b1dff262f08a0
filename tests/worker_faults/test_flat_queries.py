"""However many generations of one organization are parked or have ended, no statement of a worker reads them all.

The plans are those of the statements that the steps really run: Postgres's `auto_explain` logs each plan.
"""

import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from devstack.servers import EmbeddedServers
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.plans import AT_ONCE

_WAITING = 60_000
_ENDED = 20_000
# Due organizations and starts, late attempts, their end, unparking, due kinds, free capacity, orphans, polls, copies;
# then those about attempts and create calls.
_STATEMENTS = 20
# How many rows a statement may read, however many are parked.
_FEW = 1000
_MODEL = "simulator/image"
_ADD_PARKED = """
INSERT INTO generations
SELECT made.* FROM generations c, generate_series(1, $2) AS number, jsonb_populate_record(c, jsonb_build_object(
    'id', gen_random_uuid(), 'file_token', gen_random_uuid(), 'is_parked', true, 'prompt', number
)) AS made
WHERE c.id = $1
"""
# As if this generation had been tried very often.
_ADD_ATTEMPTS = """
INSERT INTO attempts (generation_id, number, organization_id, prediction_id, ended_at, ending)
SELECT c.id, 10 + number, c.organization_id, 'made-' || number, now(), 'failed'
FROM generations c, generate_series(1, $2) AS number WHERE c.id = $1
"""
_ADD_CALLS = """
INSERT INTO create_calls (generation_id, attempt, claim, ended_at, result, prediction_id)
SELECT c.id, 10 + number, number, now(), 'accepted', 'made-' || number
FROM generations c, generate_series(1, $2) AS number WHERE c.id = $1
"""
_TABLES = ("generations", "attempts", "create_calls")
_SETTINGS = {
    "session_preload_libraries": "'auto_explain'",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
}
_PLAN = re.compile(r"duration: [0-9.]+ ms  plan:\n((?:\t.*\n)+)")


class PlanLog:
    """The plans of the statements that Postgres has run since the log was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = path.stat().st_size

    def rows_read(self) -> dict[str, int]:
        """For each statement about these tables, how many rows or index entries it read."""
        with self._path.open() as log:
            log.seek(self._begin)
            found = _PLAN.findall(log.read())
        plans = [json.loads(text.replace("\t", "")) for text in found]
        return {
            plan["Query Text"]: sum(_rows_of(node) for node in _nodes(plan["Plan"]))
            for plan in plans
            if any(table in plan["Query Text"] for table in _TABLES)
        }


@pytest.fixture(scope="module", autouse=True)
async def _explained(site: dict[str, str]) -> None:
    connection = await asyncpg.connect(site["DATABASE_URL"])
    try:
        name = await connection.fetchval("SELECT current_database()")
        for setting, value in _SETTINGS.items():
            await connection.execute(f"ALTER DATABASE {name} SET {setting} = {value}")
    finally:
        await connection.close()


@pytest.fixture
async def worker(workbench: Workbench) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(workbench.resources.settings) as opened:
        yield opened


async def test_no_statement_reads_all_parked_rows(
    workbench: Workbench, busy: Workbench, worker: ManualWorker, site: dict[str, str], embedded: EmbeddedServers
) -> None:
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE + 1)]
    await _add_many(site, uuid.UUID(asked[-1]))
    log = PlanLog(embedded.postgres.log)

    await worker.start(asked[0])
    await busy.let_deadline_pass(asked[0])
    sweep, steps = worker.steps.sweep, worker.steps
    for step in (sweep.end_late, sweep.wake_due, sweep.fill_capacity, sweep.remove_abandoned):
        await step()
    await steps.cancel.run()
    await worker.claim_start(asked[1])
    await busy.let_lease_run_out(asked[1])
    await steps.adopt.run()
    await steps.poll.run()
    await steps.copy.claim(20)
    await busy.ask(_MODEL)
    # One of the organizations that do not wait for anything.
    await workbench.ask(_MODEL)

    read = log.rows_read()
    assert (await busy.row(asked[0])).status == "failed"
    assert len(read) >= _STATEMENTS
    assert {statement: rows for statement, rows in read.items() if rows > _FEW} == {}


async def _add_many(site: dict[str, str], content_id: uuid.UUID) -> None:
    # The server's own connections would not wait for it on a machine with much to do.
    connection = await asyncpg.connect(site["DATABASE_URL"])
    try:
        await connection.execute(_ADD_PARKED, content_id, _WAITING)
        await connection.execute(_ADD_ATTEMPTS, content_id, _ENDED)
        await connection.execute(_ADD_CALLS, content_id, _ENDED)
        for table in _TABLES:
            await connection.execute(f"ANALYZE {table}")
    finally:
        await connection.close()


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _rows_of(node: dict[str, Any]) -> int:
    if "Scan" not in node["Node Type"] or "CTE" in node["Node Type"]:
        return 0
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])
