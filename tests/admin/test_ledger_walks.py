"""However long a ledger is, a page of it reads no more than it may look through, and no entry is left out."""

import random
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app.admin.credits import walk_queries
from app.admin.credits.ledger_filter import LedgerFilter
from app.admin.credits.queries import list_entries
from app.admin.credits.walk_queries import SCANNED, Bounds, Walk, bounds_of_days
from app.core.database import Database
from tests import factories
from tests.admin.conftest import BrowserOf
from tests.factories import Organization

_ROWS = 30_000
_DAYS = 60
_LAST = datetime(2026, 3, 1, tzinfo=UTC)
_SIZE = 50
# An index may lead past a few rows that are no part of the walk.
_MOST_READ = 3 * SCANNED // 2
_SEED = f"""
INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated, description,
    created_at, user_id, api_key_id, agent, model, request_id)
SELECT $1, CASE WHEN n % 5000 = 0 THEN 'adjustment' ELSE 'charge' END, 'turn:' || $1 || ':' || n, 0, 0, false, '',
       $2::timestamptz - make_interval(secs => ({_ROWS} - n) * {_DAYS} * 86400.0 / {_ROWS}),
       CASE WHEN n % 1000 = 7 THEN 'user-b' ELSE 'user-a' END, CASE WHEN n % 9000 = 8 THEN 'key-b' ELSE 'key-a' END,
       CASE WHEN n % 11000 = 9 THEN 'rare' ELSE 'often' END, 'model-' || n % 3, 'walk-' || n
FROM generate_series(1, {_ROWS}) n ORDER BY n
"""
_HOLDS = """
INSERT INTO credit_holds (organization_id, reference, amount, state, charged, ended_at, request_id)
SELECT $1, reference, 0, 'settled', 0, now(), request_id FROM ledger_entries
WHERE organization_id = $1 AND request_id IS NOT NULL
"""


@pytest.fixture(scope="module")
async def long_ledger(database: Database) -> Organization:
    """An organization with many entries, in the order of their times."""
    organization, newer = [await factories.make_organization(database, credit="0") for _ in range(2)]
    async with database.transaction() as tx:
        await tx.execute(_SEED, organization.id, _LAST)
        await tx.execute(_HOLDS, organization.id)
        # What others enter later is not in the way.
        await tx.execute(_SEED, newer.id, _LAST)
    async with database.transaction() as tx:
        await tx.execute("ANALYZE ledger_entries")
        await tx.execute("ANALYZE credit_holds")
    return organization


WANTED: dict[str, dict[str, Any]] = {
    "everything": {},
    "charges": {"kind": "charge"},
    "adjustments": {"kind": "adjustment"},
    "grants, of which there are none": {"kind": "grant"},
    "a key that is used often": {"key": "key-a"},
    "a key that is seldom used": {"key": "key-b"},
    "a key that is not there": {"key": "key-c"},
    "an agent that is seldom used": {"agent": "rare"},
    "an agent and a model": {"agent": "often", "model": "model-1"},
    "a user": {"user": "user-b"},
    "a user's agent": {"user": "user-a", "agent": "rare"},
    "a user who is not there": {"user": "user-c"},
    "a request": {"search": "walk-12345"},
    "one day": {"first": date(2026, 1, 20), "last": date(2026, 1, 20)},
    "a key on some days": {"key": "key-b", "first": date(2026, 1, 10), "last": date(2026, 2, 10)},
    "days that are not over": {"first": date(2026, 2, 28)},
    "days of long ago": {"last": date(2026, 1, 2)},
    "days before all": {"first": date(1, 1, 1), "last": date(2025, 1, 1)},
    "days after all": {"first": date(9999, 12, 31)},
}


@pytest.mark.parametrize("filters", WANTED)
async def test_a_page_reads_no_more_than_it_looks_through(
    long_ledger: Organization, database: Database, filters: str
) -> None:
    chosen = LedgerFilter(**WANTED[filters])
    for before in (None, 20_000):
        async with database.transaction() as tx:
            bounds = await bounds_of_days(tx, long_ledger.id, chosen.first, chosen.last)
            highest = await tx.fetchval("SELECT max(id) FROM ledger_entries WHERE organization_id = $1", long_ledger.id)
            walk = Walk.of(long_ledger.id, chosen, None, bounds.up_to(before and highest - before))
            statements = {walk.page("l.*", _SIZE + 1): walk.values, walk.end(): walk.values[: walk.driving_values]}
            await tx.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            if not walk.found:
                # Half of a small table is sooner read as a whole and sorted; of a large one it is not.
                await tx.execute("SET LOCAL enable_sort = off")
            for statement, values in statements.items():
                plan = await tx.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
                nodes = list(_nodes_of(plan[0]["Plan"]))
                whole = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
                assert "ledger_entries" not in whole, plan
                assert sum(_read_by(node) for node in nodes if "Relation Name" in node) <= _MOST_READ, plan


@pytest.mark.parametrize("filters", WANTED)
async def test_the_pages_of_a_walk_have_every_entry_once(
    long_ledger: Organization, database: Database, filters: str
) -> None:
    chosen = LedgerFilter(**WANTED[filters])
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT * FROM ledger_entries WHERE organization_id = $1 ORDER BY id DESC", long_ledger.id
        )
    expected = [row["id"] for row in rows if _is_wanted(row, chosen)]

    found, before, is_more = [], None, True
    while is_more:
        async with database.transaction() as tx:
            page = await list_entries(tx, long_ledger.id, chosen, size=3000, before=before)
        found += [entry.id for entry in page.entries]
        before, is_more = page.next, page.next is not None

    assert found == expected
    assert expected or any(value in str(chosen) for value in ("grant", "key-c", "user-c", "2025", "9999"))


async def test_any_moment_is_found_by_halving(long_ledger: Organization, database: Database) -> None:
    chance = random.Random(1)
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT id, created_at FROM ledger_entries WHERE organization_id = $1 ORDER BY id", long_ledger.id
        )
        ends = [rows[0]["created_at"], rows[-1]["created_at"]]
        moments = [ends[0] + (ends[1] - ends[0]) * chance.random() for _ in range(50)]
        moments += [end + timedelta(seconds=seconds) for end in ends for seconds in (-1, 0, 1)]
        for moment in moments:
            position = await tx.fetchval(walk_queries._POSITION, long_ledger.id, moment)
            later = [row["id"] for row in rows if row["created_at"] >= moment]
            assert position == (later[0] if later else rows[-1]["id"] + 1)
        assert await bounds_of_days(tx, "nobody", date(2026, 1, 1), date(2026, 1, 2)) == Bounds()


async def test_an_entry_of_a_transaction_that_took_long_is_on_its_day(
    browser_of: BrowserOf, database: Database
) -> None:
    """Its time is when that began: entries with smaller ids may be of a later time, and of the next day."""
    organization = await factories.make_organization(database, credit="0")
    browser = await browser_of("owner", organization)
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    minutes = [-600, -300, -10, 5, -8, 7, -3, 300, 600]
    async with database.transaction() as tx:
        for number, minute in enumerate(minutes):
            await tx.execute(
                "INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated,"
                " description, created_at) VALUES ($1, 'charge', $2, 0, 0, false, '', $3)",
                organization.id,
                f"turn:{organization.id}:{number}",
                midnight + timedelta(minutes=minute),
            )

    days = {
        day: await browser.get("/ledger", params={"first": day, "last": day}) for day in ("2026-03-01", "2026-03-02")
    }

    listed = {day: len(re.findall(r'class="hit" href="/admin/ledger/', page.text)) for day, page in days.items()}
    assert listed == {"2026-03-01": 5, "2026-03-02": 4}


async def test_a_page_that_is_cut_says_so_and_goes_on(long_ledger: Organization, browser_of: BrowserOf) -> None:
    browser = await browser_of("owner", long_ledger)
    path, pages, hits = "/ledger?agent=rare", [], 0
    while path:
        pages.append((await browser.get(path)).text)
        hits += len(re.findall(r'class="hit" href="/admin/ledger/', pages[-1]))
        older = re.search(r'href="/admin(/ledger\?cursor=[^"]+)" rel="next"', pages[-1])
        path = older[1].replace("&amp;", "&") if older else ""

    assert hits == 3
    assert [("Nothing yet in this part" in page, "Looked through 10,000" in page) for page in pages[:3]] == [
        (False, True),
        (False, True),
        (False, True),
    ]
    exported = (await browser.get("/ledger/export.json", params={"agent": "rare"})).json()["entries"]
    assert len(exported) == 3


def _is_wanted(row: Any, chosen: LedgerFilter) -> bool:
    columns = {"kind": chosen.kind, "api_key_id": chosen.key, "agent": chosen.agent, "model": chosen.model}
    columns |= {"user_id": chosen.user, "request_id": chosen.search}
    day = row["created_at"].astimezone(UTC).date()
    return all(value is None or row[name] == value for name, value in columns.items()) and (
        chosen.first or date.min
    ) <= day <= (chosen.last or date.max)


def _nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes_of(child)


def _read_by(node: dict[str, Any]) -> float:
    """How many rows a scan has read, those too that it has dropped."""
    dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    rows: float = (node["Actual Rows"] + dropped) * node["Actual Loops"]
    return rows
