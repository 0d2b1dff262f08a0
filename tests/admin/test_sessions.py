"""The pages of sessions: who sees which, what they say, and the way from a request to the ledger."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.admin.conftest import Browser, BrowserOf
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, ask, conversation, open_http, user
from tests.chat.responses.asking import response_of
from tests.chat.tools import WEATHER, calls_of, result
from tests.conftest import Stack
from tests.factories import Organization

HOSTILE = (
    '<script>alert(1)</script> <img src=x onerror="alert(1)"> {{ 7 * 7 }} '
    "שלום עולם "
    + "w" * 3000
    + " [click](javascript:alert(1)) [here](https://good.example/a?b=1&c=2) http://bare.example."
)

# Priced as everywhere in the tests.
EMBEDDER = """
[[models]]
name = "sim-embed"
kind = "embedding"
price = { per_million_prompt_tokens = 1 }
"""


@pytest.fixture(scope="session")
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with open_http(stack.url) as opened:
        yield opened


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database, tools=["replicate_generate"])


@pytest.fixture
async def owner(browser_of: BrowserOf, host: Organization) -> Browser:
    return await browser_of("owner", host)


async def page_of(browser: Browser, path: str, status: int = 200) -> str:
    response = await browser.get(path)
    assert response.status_code == status, response.text
    return response.text


def first_link(page: str, begin: str) -> str:
    """The first address of the console on a page that begins so, as a path below it."""
    found = re.search(rf'href="/admin({re.escape(begin)}[^"]*)"', page)
    assert found, page
    return found[1].replace("&amp;", "&")


async def test_a_session_shows_its_words_its_turn_and_what_it_has_made(
    http: httpx.AsyncClient, host: Organization, owner: Browser
) -> None:
    answer = await answer_of(http, host, "make simulator/image", **conversation("ours"))
    made = answer["generated_content"][0]

    shown = await page_of(owner, "/sessions")
    page = await page_of(owner, first_link(shown, "/sessions/ours"))

    assert "make simulator/image" in shown
    assert "host" in shown
    assert "Model call 1" in page
    assert "Model call 2" in page
    assert "Attempt 1" in page
    assert f'src="{made["storage_url"]}"' in page
    assert f'href="/admin/content/{made["id"]}"' in page
    assert "replicate_generate" in page


async def test_from_a_request_to_its_ledger_entries_in_one_click(
    http: httpx.AsyncClient, host: Organization, owner: Browser, database: Database
) -> None:
    response = await ask(http, host, "make simulator/image", **conversation("ours"))

    page = await page_of(owner, f"/requests/{response.headers['X-Request-ID']}")

    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT reference FROM ledger_entries WHERE organization_id = $1 AND kind = 'charge'", host.id
        )
    assert len(rows) == 2
    assert all(f'href="/admin/ledger/{quote(row["reference"], safe="")}"' in page for row in rows)
    turn = await page_of(owner, first_link(page, "/sessions/ours"))
    assert "This turn took" in turn
    assert response.headers["X-Request-ID"] in turn


async def test_a_response_is_found_by_its_id(
    http: httpx.AsyncClient, host: Organization, owner: Browser, browser_of: BrowserOf
) -> None:
    made = await response_of(http, host, "Hello")

    found = await owner.get(f"/sessions?q={made['id']}", follow_redirects=False)
    page = await page_of(owner, found.headers["Location"].removeprefix("/admin"))
    ledger = await page_of(owner, f"/ledger?search={made['id']}")
    other = await (await browser_of("member", host)).get(f"/sessions?q={made['id']}", follow_redirects=False)

    assert found.status_code == 303
    assert "You said: Hello" in page
    assert re.search(r'href="/admin/ledger/turn%3A', ledger)
    assert other.status_code == 200


async def test_a_request_for_embeddings_is_shown_as_one(
    http: httpx.AsyncClient, host: Organization, owner: Browser, database: Database
) -> None:
    await factories.import_catalog(database, EMBEDDER)
    asked = await http.post("/v1/embeddings", json={"model": "sim-embed", "input": "Hello"}, headers=host.headers)

    page = await page_of(owner, f"/requests/{asked.raise_for_status().headers['X-Request-ID']}")

    assert "<h2>Embeddings" in page
    assert "sim-embed" in page
    assert "Embeddings of 1 input<" in await page_of(owner, "/ledger")


async def test_hostile_words_are_shown_as_words(http: httpx.AsyncClient, host: Organization, owner: Browser) -> None:
    await answer_of(http, host, messages=[user(HOSTILE)], **conversation("<b>ours</b>/../x"))

    shown = await page_of(owner, "/sessions")
    page = await page_of(owner, first_link(shown, "/sessions/~"))

    for text in (shown, page):
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "<b>ours" not in text
        assert 'href="javascript:' not in text
        assert "{{ 7 * 7 }}" in text or text is shown
    assert (
        '<a href="https://good.example/a?b=1&amp;c=2" rel="noopener noreferrer nofollow" target="_blank">here</a>'
        in page
    )
    assert '<a href="http://bare.example" rel="noopener' in page


async def test_a_member_is_kept_out_of_the_sessions_of_others(
    http: httpx.AsyncClient, host: Organization, browser_of: BrowserOf
) -> None:
    response = await ask(http, host, "say secret-plan", **conversation("ours"))
    member = await browser_of("member", host)

    assert "ours" not in await page_of(member, "/sessions")
    for path in (
        "/sessions/ours",
        f"/sessions/ours?user={host.user_id}",
        f"/requests/{response.headers['X-Request-ID']}",
    ):
        await page_of(member, path, 404)


async def test_a_viewer_sees_what_sessions_cost_and_not_what_they_say(
    http: httpx.AsyncClient, host: Organization, browser_of: BrowserOf
) -> None:
    response = await ask(http, host, "say secret-plan", **conversation("ours"))
    viewer = await browser_of("viewer", host)

    path = f"/sessions/ours?user={host.user_id}"
    pages = [
        await page_of(viewer, each) for each in ("/sessions", path, f"/requests/{response.headers['X-Request-ID']}")
    ]

    assert all("ours" in page and "secret-plan" not in page for page in pages)
    await page_of(viewer, f"{path}&message=0", 404)


async def test_nothing_of_another_organization(
    http: httpx.AsyncClient, host: Organization, owner_browser: Browser
) -> None:
    response = await ask(http, host, "count to 2", **conversation("ours"))

    assert "No conversations yet" in await page_of(owner_browser, "/sessions")
    await page_of(owner_browser, "/sessions/ours", 404)
    await page_of(owner_browser, f"/sessions/ours?user={host.user_id}", 404)
    await page_of(owner_browser, f"/requests/{response.headers['X-Request-ID']}", 404)


async def test_two_users_may_have_sessions_of_the_same_name(
    http: httpx.AsyncClient, host: Organization, owner: Browser, database: Database
) -> None:
    await answer_of(http, host, "say first-words", **conversation("ours"))
    other = await make_other_user(database, host)
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, last_turn_failed)"
            " VALUES (gen_random_uuid(), $1, $2, 'ours', 0, false)",
            host.id,
            other,
        )

    response = await owner.get("/sessions/ours")

    assert response.headers["location"] == "/admin/sessions?q=ours"
    shown = await page_of(owner, "/sessions?q=ours")
    assert f"user={host.user_id}" in shown
    assert f"user={other}" in shown
    assert "say first-words" in await page_of(owner, f"/sessions/ours?user={host.user_id}")
    assert "say first-words" not in await page_of(owner, f"/sessions/ours?user={other}")


async def make_other_user(database: Database, host: Organization) -> str:
    async with database.transaction() as tx:
        user_id: str = await tx.fetchval(
            "INSERT INTO users (id, email) VALUES ('user-' || gen_random_uuid(), gen_random_uuid() || '@example.com')"
            " RETURNING id"
        )
        await tx.execute(
            "INSERT INTO memberships (organization_id, user_id, role) VALUES ($1, $2, 'member')", host.id, user_id
        )
    return user_id


@pytest.mark.parametrize(
    ("query", "is_found"),
    [("q=our", True), ("q=other", False), ("state=failed", False), ("state=running", False), ("days=7", True)],
)
async def test_the_list_is_filtered(
    http: httpx.AsyncClient, host: Organization, owner: Browser, query: str, is_found: bool
) -> None:
    await answer_of(http, host, "count to 2", **conversation("ours"))

    page = await page_of(owner, f"/sessions?{query}")

    assert ("count to 2" in page) is is_found
    assert ("No session matches" in page) is not is_found


async def test_the_list_is_filtered_by_key_and_user(
    http: httpx.AsyncClient, host: Organization, owner: Browser, database: Database
) -> None:
    await answer_of(http, host, "count to 2", **conversation("ours"))
    async with database.transaction() as tx:
        key_id = await tx.fetchval("SELECT id FROM api_keys WHERE organization_id = $1", host.id)

    assert "count to 2" in await page_of(owner, f"/sessions?key={key_id}&user={host.user_id}")
    assert "No session matches" in await page_of(owner, "/sessions?key=another")
    assert "No session matches" in await page_of(owner, "/sessions?user=another")


async def test_the_list_has_pages(host: Organization, owner: Browser, database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, last_turn_failed,"
            " last_update_time)"
            " SELECT gen_random_uuid(), $1, $2, 'number-' || n, 0, false, now() - n / 2 * interval '1 s'"
            " FROM generate_series(1, 60) n",
            host.id,
            host.user_id,
        )

    seen: list[str] = []
    path: str | None = "/sessions"
    while path:
        page = await page_of(owner, path)
        seen += re.findall(r'<small class="id">(number-\d+)</small>', page)
        path = first_link(page, "/sessions?cursor=") if 'rel="next"' in page else None

    assert len(seen) == 60
    assert set(seen) == {f"number-{number}" for number in range(1, 61)}


async def test_client_tools_and_replaced_messages_are_folded(
    http: httpx.AsyncClient, host: Organization, owner: Browser
) -> None:
    asked = await answer_of(http, host, "get_weather", tools=[WEATHER], **conversation("ours"))
    (call,) = calls_of(asked)
    told = [user("get_weather"), asked["choices"][0]["message"], result(call, "rain")]
    await answer_of(http, host, messages=told, tools=[WEATHER], **conversation("ours"))
    await answer_of(http, host, messages=[*told[:2], result(call, "sun")], tools=[WEATHER], **conversation("ours"))

    page = await page_of(owner, "/sessions/ours")

    assert "get_weather" in page
    assert "rain" in page
    assert "sun" in page
    assert re.search(r"\d+ messages? that a later request has replaced", page), page


async def test_long_transcripts_have_pages(http: httpx.AsyncClient, host: Organization, owner: Browser) -> None:
    messages: list[dict[str, Any]] = []
    for number in range(60):
        messages += [user(f"question {number:03}"), {"role": "assistant", "content": f"answer {number:03}"}]
    await answer_of(http, host, messages=[*messages, user("count to 2")], **conversation("ours"))

    newest = await page_of(owner, "/sessions/ours")
    middle = await page_of(owner, "/sessions/ours?begin=41")
    message = await page_of(owner, "/sessions/ours?message=0")

    assert "count to 2" in newest
    assert "question 000" not in newest.partition("<ol")[2]
    assert "Earlier messages" in newest
    assert "Later messages" not in newest
    assert "answer 020" in middle
    assert "question 020" not in middle.partition("<ol")[2]
    assert "Later messages" in middle
    assert "question 000" in message
    assert len(newest.encode()) < 100_000


async def test_a_very_long_message_is_cut_and_shown_alone(
    http: httpx.AsyncClient, host: Organization, owner: Browser
) -> None:
    words = "begin " + "x" * 20_000 + " finish"
    await answer_of(http, host, messages=[user(words)], **conversation("ours"))

    page = await page_of(owner, "/sessions/ours")

    assert "finish" not in page
    assert "more characters" in page
    assert "finish" in await page_of(owner, first_link(page, "/sessions/ours?user=" + host.user_id + "&amp;message=0"))


async def test_a_failed_turn_without_words_is_found_by_its_request(
    http: httpx.AsyncClient, database: Database, browser_of: BrowserOf
) -> None:
    host = await make_host(database, "sim-chat--status-500")
    response = await ask(http, host, "count to 2", **conversation("ours"))
    assert response.status_code == 502
    owner = await browser_of("owner", host)

    page = await page_of(owner, f"/requests/{response.headers['X-Request-ID']}")

    assert "Cost nothing" in page
    turn = await page_of(owner, first_link(page, "/sessions/ours"))
    assert "Model call 1" in turn
    assert "Nothing was said" in turn
    assert "Failed" in await page_of(owner, "/sessions?state=failed")
