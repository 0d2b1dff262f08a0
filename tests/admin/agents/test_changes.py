"""What an edit leads to: for the next turn, for another admin who edits too, and for the other agents."""

import httpx

from app.core.database import Database
from tests.admin.agents.forms import LONG_NAME, errors_of, form_in, submit, words_of
from tests.admin.conftest import Browser, BrowserOf
from tests.agents.editing import edited
from tests.chat.asking import ask
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.factories import Organization


async def test_the_second_of_two_admins_keeps_the_text_and_sees_the_change(
    owner_browser: Browser, browser_of: BrowserOf, database: Database, organization: Organization
) -> None:
    admin = await browser_of("admin")
    opened = form_in(await owner_browser.get("/agents/writer"))
    await submit(admin, "/agents/writer", instruction="Write.\nLong.", tools=["replicate_generate"])

    late = await owner_browser.submit("/agents/writer", **{**opened, "instruction": "Mine.", "description": "My own."})

    assert late.status_code == 409
    words = words_of(late)
    assert f"{admin.email} changed this agent while you were editing. Your text is kept below." in words
    assert "<del>Short.</del><ins>Long.</ins>" in late.text
    assert "Tools none → became replicate_generate" in words
    kept = form_in(late)
    assert (kept["instruction"], kept["description"], kept["version"]) == ("Mine.", ["My own."], ["2"])
    assert (await edited(database, organization, "writer")).entry.instruction == "Write.\nLong."

    over = await owner_browser.submit("/agents/writer", **kept)

    assert over.status_code == 303
    now = await edited(database, organization, "writer")
    assert (now.entry.instruction, now.entry.tools, now.version) == ("Mine.", [], 3)


async def test_a_refused_form_of_an_old_version_says_both(owner_browser: Browser, browser_of: BrowserOf) -> None:
    opened = form_in(await owner_browser.get("/agents/writer"))
    await submit(await browser_of("admin"), "/agents/writer", description="Theirs.")

    late = await owner_browser.submit("/agents/writer", **{**opened, "temperature": "9"})

    assert late.status_code == 409
    assert errors_of(late)["temperature"] == "Enter a number from 0 to 2."
    assert "Description none → became Theirs." in words_of(late)


async def test_an_edit_is_used_by_the_next_turn(
    owner_browser: Browser, http: httpx.AsyncClient, organization: Organization, stack: Stack
) -> None:
    log = UpstreamLog(stack.simulator.log)
    before = await ask(http, organization, "Hello", model="agent/writer")
    await submit(owner_browser, "/agents/writer", instruction="Answer in verse.", temperature="0.5")
    edited_turn = await ask(http, organization, "Hello", model="agent/writer")
    await submit(owner_browser, "/agents/writer", agent_type="PARALLEL_AGENT")
    between = await ask(http, organization, "Hello", model="agent/writer")
    await submit(owner_browser, "/agents/writer", agent_type="LLM_AGENT", is_active=None)
    after = await ask(http, organization, "Hello", model="agent/writer")

    first, second = log.requests("sim-chat")
    assert [first["messages"][0]["content"], second["messages"][0]["content"]] == ["Write.\nShort.", "Answer in verse."]
    assert ("temperature" in first, second["temperature"]) == (False, 0.5)
    assert [each.status_code for each in (before, edited_turn, between, after)] == [200, 200, 400, 400]
    assert between.json()["error"]["code"] == "agent_not_invocable"
    assert after.json()["error"]["code"] == "agent_inactive"


async def test_another_agent_is_made_the_orchestrator(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    assert 'name="is_orchestrator"' not in (await owner_browser.get("/agents/host")).text

    saved = await submit(owner_browser, "/agents/writer", is_orchestrator="yes")

    assert saved.status_code == 303
    assert not (await edited(database, organization, "host")).entry.is_orchestrator
    assert (await edited(database, organization, "writer")).entry.is_orchestrator
    refused = await submit(owner_browser, "/agents/writer", is_active=None)
    assert refused.status_code == 422
    assert "as the orchestrator it would refuse every chat" in words_of(refused)


async def test_an_agent_is_deleted_by_its_name(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    called = await owner_browser.get("/agents/writer/delete")
    wrong = await owner_browser.submit(f"/agents/{LONG_NAME}/delete", typed="z")
    forced = await owner_browser.submit("/agents/host/delete", typed="host")

    gone = await owner_browser.submit(f"/agents/{LONG_NAME}/delete", typed=LONG_NAME)

    assert "host, crew may call writer" in words_of(called) or "crew, host may call writer" in words_of(called)
    assert (wrong.status_code, errors_of(wrong)["typed"]) == (422, f"Type {LONG_NAME} to delete it.")
    assert forced.status_code == 422
    assert "host is the orchestrator" in words_of(forced)
    assert (gone.status_code, gone.headers["location"]) == (303, "/admin/agents")
    assert (await owner_browser.get(f"/agents/{LONG_NAME}")).status_code == 404
    assert (await owner_browser.get("/agents/host")).status_code == 200


async def test_an_agent_is_copied(owner_browser: Browser) -> None:
    page = await owner_browser.get("/agents/new?copy_of=crew")
    form = form_in(page)

    made = await owner_browser.submit("/agents/new", **{**form, "name": "crew-2"})

    assert (form["name"], form["sub_agents"], form["agent_type"]) == ([""], ["writer", "editor"], "SEQUENTIAL_AGENT")
    assert made.status_code == 303
