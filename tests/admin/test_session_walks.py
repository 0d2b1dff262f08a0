"""However many sessions there are, a page of them reads no more than it may look through, and none is left out."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.admin.sessions.list_queries import SCANNED, SessionFilter, list_sessions
from app.core.database import Database
from bench.plans import explain, listening
from tests import factories
from tests.admin.conftest import BrowserOf
from tests.factories import Organization

_ROWS = 12_000
_SIZE = 25
# An index may lead past rows that are no part of the walk, such as those of other tests.
_MOST_READ = 3 * SCANNED // 2
_NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
# The oldest have failed, or are running; and two of a time follow each other by their ids.
_SEED = f"""
INSERT INTO sessions (id, organization_id, user_id, public_id, api_key_id, message_count, last_turn_failed,
    turn_id, turn_lease_until, created_at, last_update_time)
SELECT gen_random_uuid(), $1, $2, CASE WHEN n % 4000 = 1 THEN 'seldom-' ELSE 'often-' END || n,
       CASE WHEN n % 3000 = 2 THEN $3 END, 0, n > {_ROWS} - 30, CASE WHEN n = {_ROWS} THEN 'running' END,
       CASE WHEN n = {_ROWS} THEN now() + interval '1 day' END, $4, $4::timestamptz - n / 2 * interval '1 s'
FROM generate_series(1, {_ROWS}) n
"""


@pytest.fixture(scope="module")
async def many(database: Database) -> Organization:
    """An organization with many sessions, some of them begun with its key."""
    organization = await factories.make_organization(database)
    async with database.transaction() as tx:
        key_id = await _key_of(tx, organization)
        await tx.execute(_SEED, organization.id, organization.user_id, key_id, _NEWEST)
    async with database.transaction() as tx:
        await tx.execute("ANALYZE sessions")
    return organization


async def _key_of(tx: Any, organization: Organization) -> str:
    found: str = await tx.fetchval("SELECT id FROM api_keys WHERE organization_id = $1", organization.id)
    return found


WANTED: dict[str, tuple[dict[str, Any], int]] = {
    "all": ({}, _ROWS),
    "a user's": ({"user_id": "owner"}, _ROWS),
    "another user's": ({"user_id": "nobody"}, 0),
    "a key's": ({"key_id": "key"}, 4),
    "a key's of a user": ({"key_id": "key", "user_id": "owner"}, 4),
    "failed": ({"state": "failed"}, 29),
    "running": ({"state": "running"}, 1),
    "seldom names": ({"name": "seldom-"}, 3),
    "many names": ({"name": "often-"}, _ROWS - 3),
    "many names that have failed": ({"name": "often-", "state": "failed"}, 29),
    "a seldom name of a user": ({"name": "seldom-4", "user_id": "owner"}, 1),
    "since a while": ({"since": _NEWEST - timedelta(seconds=100)}, 201),
}


async def _filter(database: Database, organization: Organization, wanted: dict[str, Any]) -> SessionFilter:
    async with database.transaction() as tx:
        names = {"owner": organization.user_id, "key": await _key_of(tx, organization)}
    return SessionFilter(**{name: names.get(str(value), value) for name, value in wanted.items()})


@pytest.mark.parametrize("filters", WANTED)
async def test_a_page_reads_no_more_than_it_looks_through(many: Organization, database: Database, filters: str) -> None:
    chosen = await _filter(database, many, WANTED[filters][0])
    async with database.transaction() as tx:
        await explain(tx)
        async with listening(tx) as plans:
            await list_sessions(tx, many.id, chosen, size=_SIZE)

    nodes = [node for plan in plans.plans for node in _nodes_of(plan["Plan"])]
    read = [_read_by(node) for node in nodes if node.get("Relation Name") == "sessions"]
    # Where almost every row has such a name, the others are passed over, too.
    assert max(read) <= _MOST_READ
    assert sum(read) <= 3 * _MOST_READ


@pytest.mark.parametrize("filters", WANTED)
async def test_the_pages_of_a_walk_have_every_session_once(
    many: Organization, database: Database, filters: str
) -> None:
    wanted, count = WANTED[filters]
    chosen = await _filter(database, many, wanted)

    found, before, is_more = [], None, True
    while is_more:
        async with database.transaction() as tx:
            page = await list_sessions(tx, many.id, chosen, before=before, size=5000)
        found += [(row.last_update_time, row.id) for row in page.rows]
        before, is_more = page.next, page.next is not None

    assert len(found) == count
    assert found == sorted(set(found), reverse=True)


async def test_a_key_of_another_organization_has_begun_nothing_here(many: Organization, database: Database) -> None:
    other = await factories.make_organization(database)
    async with database.transaction() as tx:
        key_id = await _key_of(tx, many)

        page = await list_sessions(tx, other.id, SessionFilter(key_id=key_id), size=_SIZE)

    assert (page.rows, page.next, page.is_cut) == ([], None, False)


async def test_a_page_that_is_cut_says_so_and_goes_on(many: Organization, browser_of: BrowserOf) -> None:
    browser = await browser_of("owner", many)

    first = (await browser.get("/sessions?state=running")).text
    older = re.search(r'href="/admin(/sessions\?cursor=[^"]+)" rel="next"', first)
    assert older
    second = (await browser.get(older[1].replace("&amp;", "&"))).text

    assert "None of the 10,000 sessions that were looked through matches" in first
    assert f"often-{_ROWS}" in second


def _nodes_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes_of(child))]


def _read_by(node: dict[str, Any]) -> float:
    """How many rows a scan has read, those too that it has dropped."""
    rows: float = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return rows
