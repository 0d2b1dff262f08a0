"""However much content there is, a page of it reads no more than it may look through, along an index."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from app.admin.content.queries import SCANNED, Position, Wanted, _Walk
from app.core.clock import now
from app.core.database import Database
from app.generations.media_types import ContentType
from app.generations.states import Status
from tests import factories
from tests.admin.contents import add_content
from tests.factories import Organization

_ROWS = 20_000
_PAGE = 48
# Each row of a page is found in an index, read, and joined with its output.
_MOST_READ = 4 * SCANNED

# Each thing that is filtered by is rare among its kind, or common: a walk must not depend on which.
_SEED = """
WITH made AS (
    INSERT INTO generations
    SELECT n.* FROM generations g, generate_series($2::int, $2 + 1999) AS number,
        jsonb_populate_record(g, jsonb_build_object(
        'id', gen_random_uuid(), 'file_token', gen_random_uuid(), 'prediction_id', gen_random_uuid(),
        'created_at', g.created_at - number * interval '1 s',
        'status', CASE WHEN number % 50 = 0 THEN 'failed' ELSE 'completed' END,
        'error_message', CASE WHEN number % 50 = 0 THEN 'failed' END,
        'content_type', CASE WHEN number % 50 = 0 THEN NULL WHEN number % 400 = 1 THEN 'glb' ELSE 'image' END,
        'user_id', CASE WHEN number % 1000 = 1 THEN $3 ELSE g.user_id END)) AS n
    WHERE g.id = $1 RETURNING id, created_at, extract(epoch FROM created_at)::bigint AS number
)
INSERT INTO attempts SELECT n.* FROM attempts a, made, jsonb_populate_record(a, jsonb_build_object(
    'generation_id', made.id, 'created_at', made.created_at, 'prediction_id', gen_random_uuid(),
    'agent', CASE WHEN made.number % 3 = 0 THEN 'director' ELSE 'illustrator' END,
    'api_key_id', CASE WHEN made.number % 2 = 0 THEN 'key-a' ELSE 'key-b' END)) AS n
WHERE a.generation_id = $1
"""


@pytest.fixture(scope="module")
async def many(database: Database) -> Organization:
    """An organization with much content, of two users."""
    organization, other = [await factories.make_organization(database) for _ in range(2)]
    first = await add_content(database, organization)
    for number in range(1, _ROWS, 2000):
        async with database.transaction() as tx:
            await tx.execute(_SEED, first.id, number, other.user_id)
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO memberships (organization_id, user_id, role) VALUES ($1, $2, 'member')",
            organization.id,
            other.user_id,
        )
    async with database.transaction() as tx:
        await tx.execute("ANALYZE generations")
        await tx.execute("ANALYZE attempts")
    return Organization(organization.id, organization.name, other.user_id, organization.api_key)


WANTED: dict[str, dict[str, Any]] = {
    "everything": {},
    "a type": {"content_type": ContentType.IMAGE},
    "a rare type": {"content_type": ContentType.GLB},
    "completed": {"status": Status.COMPLETED},
    "failed": {"status": Status.FAILED},
    "pending": {"status": Status.PENDING},
    "an agent": {"agent": "director"},
    "an agent that failed": {"agent": "director", "status": Status.FAILED},
    "a key": {"key_id": "key-a"},
    "a key that is not there": {"key_id": "key-c"},
    "a key, an agent and a type": {"key_id": "key-a", "agent": "director", "content_type": ContentType.GLB},
    "a type of completed": {"content_type": ContentType.GLB, "status": Status.COMPLETED},
}
BOUNDS: dict[str, dict[str, Any]] = {
    "from the newest": {},
    "further on": {"after": Position(now() - timedelta(hours=2), uuid.UUID(int=2**127))},
    "in a range of dates": {"since": now() - timedelta(hours=4), "until": now() - timedelta(hours=3)},
}


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("filters", WANTED)
async def test_a_page_reads_no_more_than_it_looks_through(
    many: Organization, database: Database, filters: str, bounds: str
) -> None:
    for user_id in (None, many.user_id):
        walk = _Walk.of(Wanted(many.id, user_id, **WANTED[filters], **BOUNDS[bounds]))
        scanned = SCANNED if walk.rest else _PAGE + 1
        statements = {walk.page(scanned, _PAGE + 1): walk.values, walk.end(SCANNED): walk.values[: walk.driving_values]}
        for statement, values in statements.items():
            async with database.transaction() as tx:
                await tx.execute("SET LOCAL plan_cache_mode = force_generic_plan")
                plan = await tx.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
            nodes = list(nodes_of(plan[0]["Plan"]))
            # A table that is small in the tests may be read whole; what is read of all is counted below.
            whole = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
            assert "generations" not in whole, plan
            assert sum(read_by(node) for node in nodes if "Relation Name" in node) <= _MOST_READ, plan


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)


def read_by(node: dict[str, Any]) -> float:
    """How many rows a scan has read, those too that it has dropped."""
    dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    rows: float = (node["Actual Rows"] + dropped) * node["Actual Loops"]
    return rows
