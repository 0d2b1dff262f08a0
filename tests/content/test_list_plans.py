"""However much content there is, its total is not counted row by row, and of a far page only its own rows are read."""

from typing import Any

import pytest

from app.content import service
from app.content.repository import ContentFilter
from app.core.database import Database
from app.list_counts.folding import fold_list_counts
from bench.plans import Plans, explain, listening
from tests import factories
from tests.content.contents import insert_content
from tests.factories import Organization
from tests.list_counts.counting import add_contents, unfolded
from tests.waiting import until

_ROWS = 6000
_SIZE = 50


@pytest.fixture(scope="module")
async def many(database: Database) -> Organization:
    """An organization with much content, whose totals are all added up."""
    organization = await factories.make_organization(database)
    model = (await insert_content(database, organization, "pending")).id
    async with database.transaction() as tx:
        for status, content_type in (("completed", "image"), ("completed", "video"), ("failed", None)):
            await add_contents(tx, model, _ROWS // 3, status, content_type)

    async def is_added() -> bool:
        await fold_list_counts(database)
        return await unfolded(database, organization) == 0

    await until(is_added)
    async with database.transaction() as tx:
        await tx.execute("ANALYZE generations")
        await tx.execute("ANALYZE outputs")
    return organization


@pytest.mark.parametrize(
    ("filters", "index", "pages"),
    [
        ({}, "ix_generations_listing", 100),
        ({"status": "completed"}, "ix_generations_completed", 70),
        ({"status": "failed"}, "ix_generations_status", 35),
        ({"content_type": "image"}, "ix_generations_typed", 35),
        ({"content_type": "video", "status": "completed"}, "ix_generations_typed", 35),
    ],
)
async def test_a_far_page_is_found_in_an_index_and_its_total_in_the_counts(
    many: Organization, database: Database, filters: dict[str, str], index: str, pages: int
) -> None:
    wanted = ContentFilter(many.id, **filters)
    async with database.transaction() as tx:
        await explain(tx)
        # As a plan that is kept for all parameters.
        await tx.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        async with listening(tx) as plans:
            page = await service.list_content(tx, wanted, page=pages, page_size=_SIZE)

    passed_over, read = _reads(plans)
    assert len(page.items) == _SIZE
    assert passed_over == {index: pages * _SIZE}
    # The page's own rows: for themselves, and for their files.
    assert read <= 2 * _SIZE


async def test_a_page_behind_the_last_one_reads_no_content(many: Organization, database: Database) -> None:
    async with database.transaction() as tx:
        await explain(tx)
        async with listening(tx) as plans:
            page = await service.list_content(tx, ContentFilter(many.id), page=2**31 - 1, page_size=100)

    assert (page.total, page.items) == (_ROWS + 1, [])
    assert _reads(plans) == ({}, 0)


def _reads(plans: Plans) -> tuple[dict[str, float], float]:
    """What was read of the table of content: entries of each index alone, and rows."""
    passed_over: dict[str, float] = {}
    rows = 0.0
    for node in (node for plan in plans.plans for node in _nodes_of(plan["Plan"])):
        if node.get("Relation Name") != "generations":
            continue
        count = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        if node["Node Type"] == "Index Only Scan":
            passed_over[node["Index Name"]] = count
        else:
            rows += count
    return passed_over, rows


def _nodes_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes_of(child))]
