"""Versions of an agent: compared, restored, and walked through."""

import re

from app.core.database import Database
from tests.admin.agents.forms import submit, words_of
from tests.admin.conftest import Browser
from tests.agents.editing import change, edited, history_of
from tests.factories import Organization


async def test_a_version_is_compared_and_restored(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    await submit(owner_browser, "/agents/writer", instruction="Write.\nLong.", model="")
    page = await owner_browser.get("/agents/writer/history")

    restored = await owner_browser.submit("/agents/writer/history", version="2", restored="1")

    words = words_of(page)
    assert f"Version 2 Now Changed · {owner_browser.email}" in words
    assert "Model sim-chat → became the default" in words
    assert "<del>Short.</del><ins>Long.</ins>" in page.text
    assert "Version 1 Imported · The command line" in words
    assert (restored.status_code, restored.headers["location"]) == (303, "/admin/agents/writer/history")
    after = words_of(await owner_browser.get("/agents/writer/history"))
    assert f"Version 3 Now Version 1 restored · {owner_browser.email}" in after
    assert (await edited(database, organization, "writer")).entry.instruction == "Write.\nShort."


async def test_what_cannot_be_restored_is_said(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    await submit(owner_browser, "/agents/crew", sub_agents=["editor"], order_writer=None)
    await submit(owner_browser, "/agents/host", sub_agents=["crew"], order_writer=None)
    await owner_browser.submit("/agents/writer/delete", typed="writer")

    gone = await owner_browser.submit("/agents/crew/history", version="2", restored="1")
    unknown = await owner_browser.submit("/agents/crew/history", version="2", restored="9")
    late = await owner_browser.submit("/agents/crew/history", version="1", restored="1")

    assert [each.status_code for each in (gone, unknown, late)] == [422, 422, 422]
    assert "Version 1 was not restored. crew cannot call writer: there is no agent writer." in words_of(gone)
    assert "The agent has no such version." in words_of(unknown)
    assert "The agent has been changed since it was read." in words_of(late)
    assert len(await history_of(database, organization, "crew")) == 2


async def test_what_wrote_no_history_is_shown_as_such(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE agents SET instruction = 'Older.' WHERE organization_id = $1 AND name = 'writer'", organization.id
        )

    page = await owner_browser.get("/agents/writer/history")
    saved = await submit(owner_browser, "/agents/writer", description="Mine.")

    assert "Changed without a version Now No history was written" in words_of(page)
    assert saved.status_code == 303
    assert [each.event for each in await history_of(database, organization, "writer")] == [
        "imported",
        "found",
        "changed",
    ]


async def test_a_long_history_is_walked_in_pages(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    for number in range(12):
        await change(database, organization, "writer", description=f"Take {number}.")

    first = await owner_browser.get("/agents/writer/history")
    (cursor,) = re.findall(r'href="/admin/agents/writer/history\?cursor=([^"]+)"', first.text)
    second = await owner_browser.get(f"/agents/writer/history?cursor={cursor}")

    numbers = [re.findall(r'<li id="v(\d+)">', page.text) for page in (first, second)]
    assert [[int(number) for number in page] for page in numbers] == [list(range(13, 3, -1)), [3, 2, 1]]
    assert "Description Take 0. → became Take 1." in words_of(second)
