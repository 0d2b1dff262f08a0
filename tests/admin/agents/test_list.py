"""The list of agents, and the pages that it leads to."""

import re

import httpx

from app.agents.service import import_agents
from app.agents.toml import read_agents
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from tests.admin.agents.forms import LONG_NAME, TEAM, submit, words_of
from tests.admin.conftest import Browser
from tests.agents.definitions import agents_file
from tests.agents.editing import edited
from tests.chat.asking import ask
from tests.factories import Organization


async def test_the_list_says_who_calls_whom(owner_browser: Browser) -> None:
    page = await owner_browser.get("/agents")

    words = words_of(page)
    assert "host Orchestrator" in words
    assert "Calls writer, then editor" in words
    assert "Not reached from the orchestrator" in words
    assert page.text.count('width="226"') == len(TEAM)
    assert f"<title>{LONG_NAME}</title>" in page.text
    assert len(page.content) < 100_000


async def test_what_an_agent_has_spent_stands_in_its_row(
    owner_browser: Browser, http: httpx.AsyncClient, organization: Organization
) -> None:
    assert (await ask(http, organization, "Hello", model="agent/writer")).status_code == 200

    rows = re.findall(r'<tr role="row"><td.*?</tr>', (await owner_browser.get("/agents")).text, re.DOTALL)
    spent = {re.findall(r">([\w-]+)</a>", row)[0]: "0<i>.000000</i>" not in row for row in rows}
    assert {name for name, is_spent in spent.items() if is_spent} == {"writer"}


async def test_an_id_leads_to_the_agent_and_so_does_a_name_that_is_an_address(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    writer = await edited(database, organization, "writer")
    new = await edited(database, organization, "new")

    led = await owner_browser.get(f"/agents/{writer.id}")
    page = await owner_browser.get(f"/agents/{new.id}")

    assert (led.status_code, led.headers["location"]) == (303, "/admin/agents/writer")
    assert page.status_code == 200
    assert f"/admin/agents/{new.id}" in (await owner_browser.get("/agents")).text
    saved = await submit(owner_browser, f"/agents/{new.id}", description="New.")
    assert (saved.status_code, saved.headers["location"]) == (303, f"/admin/agents/{new.id}")


async def test_without_an_orchestrator_the_list_says_that_chats_are_refused(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        await import_agents(tx, organization.id, read_agents(agents_file({"name": "host"})), actor=COMMAND_LINE)

    page = await owner_browser.get("/agents")

    assert "No agent is the orchestrator: every chat is refused." in words_of(page)


async def test_many_agents_and_a_circle_in_the_database_are_shown(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO sub_agents (agent_id, position, sub_agent_id) SELECT a.id, 0, b.id FROM agents a, agents b"
            " WHERE a.organization_id = $1 AND b.organization_id = $1 AND a.name = 'editor' AND b.name = 'crew'",
            organization.id,
        )
    few = await owner_browser.get("/agents")
    broken = await submit(owner_browser, "/agents/editor", sub_agents=[], order_crew=None)
    names = [{"name": f"agent-{number}"} for number in range(80)]
    async with database.transaction() as tx:
        await import_agents(tx, organization.id, read_agents(agents_file(*names)), actor=COMMAND_LINE)
    many = await owner_browser.get("/agents")

    assert few.text.count('width="226"') == len(TEAM)
    assert broken.status_code == 303
    assert "There are too many for a drawing." in words_of(many)
    assert "agent-79" in many.text
