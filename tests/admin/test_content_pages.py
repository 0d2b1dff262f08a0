"""The gallery and the pages of content: what they show, to whom, and how they are walked."""

import re
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.admin.content import queries
from app.core.clock import now
from app.core.database import Database
from tests import factories
from tests.admin.conftest import Browser, BrowserOf
from tests.admin.contents import add_content, open_maker
from tests.conftest import Stack
from tests.factories import Organization

_TILE = re.compile(r'data-tile="([^"]+)"')
_OLDER = re.compile(r'href="/admin(/content\?[^"]+)" rel="next"')
MOST_BYTES = 100_000


def tiles(page: httpx.Response) -> list[str]:
    """The ids of the contents on a page of the gallery, in order."""
    assert page.status_code == 200, page.text
    return _TILE.findall(page.text)


def older(page: httpx.Response) -> str | None:
    """The address of the next page."""
    found = _OLDER.search(page.text)
    return found[1].replace("&amp;", "&") if found else None


async def walk(browser: Browser, path: str) -> list[str]:
    """The ids on all pages of a list."""
    found, next_path = [], path
    while next_path:
        page = await browser.get(next_path)
        found += tiles(page)
        next_path = older(page) or ""
    return found


async def key_of(database: Database, organization: Organization) -> str:
    """The id of the organization's key."""
    async with database.transaction() as tx:
        key_id: str = await tx.fetchval("SELECT id FROM api_keys WHERE organization_id = $1", organization.id)
    return key_id


async def test_every_filter_finds_its_own_and_nothing_else(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    key_id = await key_of(database, organization)
    moments = {"today": now(), "old": now() - timedelta(days=90)}
    made: dict[str, str] = {}
    for name, status, values in (
        ("picture", "completed", {"agent": "illustrator", "key_id": key_id}),
        ("film", "completed", {"content_type": "video", "agent": "director"}),
        ("failed", "failed", {"agent": "illustrator", "created_at": moments["old"]}),
        ("pending", "pending", {}),
        ("running", "processing", {"key_id": key_id}),
    ):
        made[name] = str((await add_content(database, organization, status, **values)).id)

    async def found(query: str) -> set[str]:
        ids = tiles(await owner_browser.get(f"/content?{query}"))
        return {name for name, content_id in made.items() if content_id in ids}

    assert await found("") == set(made)
    assert await found("type=image") == {"picture"}
    assert await found("type=video") == {"film"}
    assert await found("type=video&status=failed") == set()
    assert await found("status=completed") == {"picture", "film"}
    assert await found("status=failed") == {"failed"}
    assert await found("status=pending") == {"pending"}
    assert await found("agent=illustrator") == {"picture", "failed"}
    assert await found("agent=illustrator&status=failed") == {"failed"}
    assert await found(f"key={key_id}") == {"picture", "running"}
    assert await found(f"key={key_id}&agent=illustrator") == {"picture"}
    assert await found(f"key={key_id}&type=video") == set()
    assert await found("period=30") == set(made) - {"failed"}
    assert await found("period=today&status=failed") == set()
    day = moments["old"].date()
    assert await found(f"period=range&since={day}&until={day}") == {"failed"}
    assert await found(f"until={day}") == {"failed"}
    assert await found(f"period=range&since={day + timedelta(days=1)}") == set(made) - {"failed"}
    # What no choice of the page has is passed over.
    assert await found("type=smell&status=lost&since=tomorrow&period=range") == set(made)
    assert await found(f"q={made['film'][:8]}") == {"film"}
    assert await found(f"q={made['film']}") == {"film"}
    assert await found("q=words%20of%20a%20prompt") == set()


async def test_a_content_is_found_by_the_id_of_its_prediction(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    prediction = f"p{uuid.uuid4().hex[:25]}"
    content = await add_content(database, organization, prediction_id=prediction)

    assert tiles(await owner_browser.get(f"/content?q={prediction}")) == [str(content.id)]


async def test_pages_follow_each_other_without_gaps_or_repetitions_while_content_is_added(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    # Some were made in the same moment.
    moments = [now() - timedelta(minutes=number // 3) for number in range(110)]
    before = [str((await add_content(database, organization, created_at=at)).id) for at in moments]

    first = await owner_browser.get("/content")
    added = [str((await add_content(database, organization)).id) for _ in range(3)]
    found = [*tiles(first), *await walk(owner_browser, older(first) or "")]

    assert sorted(found) == sorted(before)
    assert not set(found) & set(added)
    assert sorted(await walk(owner_browser, "/content?status=completed&type=image")) == sorted(before + added)


async def test_a_walk_that_passes_over_much_goes_on_from_page_to_page(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    key_id = await key_of(database, organization)
    oldest = await add_content(database, organization, "failed", key_id=key_id, created_at=now() - timedelta(days=3))
    newest = await add_content(database, organization, key_id=key_id, created_at=now() - timedelta(days=1))
    await copy(database, str(newest.id), queries.SCANNED + 100)

    page = await owner_browser.get(f"/content?key={key_id}&status=failed")

    assert tiles(page) == []
    assert "Nothing yet in this part" in page.text
    assert await walk(owner_browser, f"/content?key={key_id}&status=failed") == [str(oldest.id)]


async def copy(database: Database, content_id: str, times: int) -> None:
    """Copy a content and its first attempt, each copy a second older than the one before."""
    async with database.transaction() as tx:
        await tx.execute(
            """
            WITH made AS (
                INSERT INTO generations
                SELECT n.* FROM generations g, generate_series(1, $2) AS number, jsonb_populate_record(
                    g, jsonb_build_object('id', gen_random_uuid(), 'file_token', gen_random_uuid(),
                    'prediction_id', gen_random_uuid(), 'created_at', g.created_at - number * interval '1 s')) AS n
                WHERE g.id = $1 RETURNING id, created_at
            )
            INSERT INTO attempts SELECT n.* FROM attempts a, made, jsonb_populate_record(a, jsonb_build_object(
                'generation_id', made.id, 'created_at', made.created_at, 'prediction_id', gen_random_uuid())) AS n
            WHERE a.generation_id = $1
            """,
            uuid.UUID(content_id),
            times,
        )


async def test_a_full_page_of_long_prompts_stays_small(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    long = "<" * 5000
    key_id = await key_of(database, organization)
    made = await add_content(database, organization, prompt=long, input={"prompt": long * 20}, key_id=key_id)
    await copy(database, str(made.id), 60)

    gallery, detail = await owner_browser.get("/content"), await owner_browser.get(f"/content/{made.id}")

    assert len(tiles(gallery)) == 48
    assert len(gallery.content) < MOST_BYTES
    assert len(detail.content) < MOST_BYTES
    assert "Shortened" in detail.text


@pytest.mark.parametrize("path", ["", "/tile", "/events"])
async def test_what_belongs_to_another_organization_is_not_there(
    owner_browser: Browser, database: Database, path: str
) -> None:
    other = await add_content(database, await factories.make_organization(database))

    for content_id in (other.id, uuid.uuid4(), "no-id", "%00"):
        response = await owner_browser.get(f"/content/{content_id}{path}")
        assert response.status_code == 404, content_id
    assert "Nothing with this id" in (await owner_browser.get(f"/content?q={other.id}")).text


async def test_members_see_what_came_of_their_own_and_viewers_everything(
    browser_of: BrowserOf, database: Database, organization: Organization
) -> None:
    member, viewer = await browser_of("member"), await browser_of("viewer")
    theirs = await add_content(database, organization, agent="illustrator", user_id=member.user_id)
    owners = await add_content(database, organization, agent="illustrator")

    for query in ("", "?status=completed", "?type=image", "?agent=illustrator"):
        assert tiles(await member.get(f"/content{query}")) == [str(theirs.id)], query
        assert tiles(await viewer.get(f"/content{query}")) == [str(owners.id), str(theirs.id)], query
    assert tiles(await member.get(f"/content?q={owners.id}")) == []
    assert (await member.get(f"/content/{theirs.id}")).status_code == 200
    assert (await viewer.get(f"/content/{theirs.id}")).status_code == 200
    for path in ("", "/tile", "/events"):
        assert (await member.get(f"/content/{owners.id}{path}")).status_code == 404
    events = await member.get("/content/events", params={"known": f"{owners.id}:other"})
    assert str(owners.id) not in events.text


async def test_nobody_sees_content_without_signing_in(anonymous_browser: Browser) -> None:
    for path in ("/content", f"/content/{uuid.uuid4()}", "/content/events"):
        response = await anonymous_browser.get(path)
        assert response.status_code == 303
        assert response.headers["location"].startswith("/admin/sign-in?next=")


async def test_the_page_says_what_an_empty_gallery_and_a_search_without_result_need(owner_browser: Browser) -> None:
    empty, searched = await owner_browser.get("/content"), await owner_browser.get("/content?q=<b>")
    filtered = await owner_browser.get("/content?status=failed&type=glb")

    assert "No content yet" in empty.text
    assert "Nothing with this id" in searched.text
    assert "&lt;b&gt;" in searched.text
    assert "These filters hide everything: 3D models, Failed." in filtered.text


@pytest.fixture
async def made(stack: Stack, database: Database, organization: Organization) -> dict[str, Any]:
    """Three pictures of one generation that the product has made, and what is known of them."""
    async with open_maker(stack, organization) as maker:
        content_id = await maker.make("simulator/image", "Three mugs on an oak table", num_outputs=3)
        row = await maker.bench.row(content_id)
    async with database.transaction() as tx:
        output = await tx.fetchrow(
            "SELECT storage_path, sha256 FROM outputs WHERE generation_id = $1 AND position = 0", row.id
        )
    return {
        "id": content_id,
        "prompt": row.prompt,
        "prediction_id": row.prediction_id,
        "entry": f"generation:{row.id}:0",
        **dict(output or {}),
    }


async def test_a_completed_content_shows_how_it_came_about_and_what_it_cost(
    owner_browser: Browser, stack: Stack, made: dict[str, Any]
) -> None:
    page = await owner_browser.get(f"/content/{made['id']}")

    assert page.status_code == 200
    for shown in (made["prompt"], made["prediction_id"], made["sha256"], made["storage_path"], "illustrator"):
        assert shown in page.text, shown
    text = re.sub(r"<[^>]+>", "", page.text)
    assert re.search(r"Files3\s*Price of a file0\.003000\s*Charged0\.009000\s*Was held0\.012000", text), text
    assert f'href="/admin/ledger/{quote(made["entry"], safe="")}"' in page.text
    assert "Attempt 1 completed in" in page.text
    for step in ("waited", "started", "ran", "copied to storage"):
        assert re.search(rf"{step} [\d.]+ m?s", text), step
    urls = re.findall(r'<img src="(/files/[^"]+)"', page.text)
    assert len(urls) == 3
    for url in urls:
        file = await owner_browser.get(f"{stack.url}{url}")
        assert file.headers["content-type"] == "image/png"


async def test_a_file_that_the_store_has_lost_is_named(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    content = await add_content(database, organization)

    page = await owner_browser.get(f"/content/{content.id}")

    assert page.status_code == 200
    assert "The file is gone" in page.text
    assert f"generation/image/{content.id.hex}.png" in page.text
    assert "<img" not in page.text


async def test_a_page_of_content_shows_what_a_client_sees(
    owner_browser: Browser, client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    content = await add_content(database, organization, "failed")

    page = await owner_browser.get(f"/content/{content.id}")

    answer = (await client.get(f"/content/{content.id}")).json()
    shown = re.sub(r"&#34;", '"', page.text)
    assert f'"error_message": "{answer["error_message"]}"' in shown
    assert f'"retry_count": {answer["retry_count"]}' in shown
    assert "“NSFW content detected”" in page.text
