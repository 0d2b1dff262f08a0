"""The pages of agents: who sees them, what is refused and keeps what was typed, and what an edit leads to."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest

from app.agents.editing import export_agents
from app.agents.service import import_agents
from app.agents.toml import AgentsFile, read_agents
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from tests import factories
from tests.admin.conftest import Browser, BrowserOf
from tests.agents.definitions import agent, agents_file, container
from tests.agents.editing import change, edited, history_of
from tests.chat.asking import ask, open_http
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.factories import Organization

LONG_NAME = "a" * 63 + "z"
TEAM = (
    {"name": "host", "is_orchestrator": True, "model": "sim-chat", "sub_agents": ["crew", "writer"]},
    container("SEQUENTIAL", "writer", "editor", name="crew"),
    agent("writer", model="sim-chat", output_key="draft", instruction="Write.\nShort."),
    agent("editor", model="sim-chat", instruction="Edit {draft} and {nothing}.", sub_agents=[]),
    agent(LONG_NAME, model="sim-chat", is_active=False),
    agent("new", model="sim-chat"),
)
WORDS = re.compile(r"<[^>]*>|\s+")


@pytest.fixture
async def organization(database: Database) -> Organization:
    return await factories.make_organization(database, agents=agents_file(*TEAM))


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with open_http(stack.url) as opened:
        yield opened


def words_of(page: httpx.Response) -> str:
    """What a page says, without its markup."""
    return " ".join(WORDS.sub(" ", unescape(page.text)).split())


def errors_of(page: httpx.Response) -> dict[str, str]:
    """The refusals that stand beside the fields, by field."""
    found = re.findall(r'<p class="msg" id="([^"]+)-e"><svg.*?</svg>(.*?)</p>', page.text, re.DOTALL)
    return {name: unescape(text) for name, text in found}


def form_in(page: httpx.Response) -> dict[str, Any]:
    """What a browser would send of the page's form of an agent, as it stands."""
    (form,) = re.findall(r'<form class="form agent".*?</form>', page.text, re.DOTALL)
    fields: dict[str, Any] = {}
    for tag in re.findall(r"<input [^>]*>", form):
        name, value = (re.search(rf' {key}="([^"]*)"', tag) for key in ("name", "value"))
        if name and "disabled" not in tag and ("checkbox" not in tag or " checked" in tag):
            fields.setdefault(name[1], []).append(unescape(value[1] if value else ""))
    for name, options in re.findall(r'<select id="[^"]*" name="([^"]*)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected>', options)
        fields[name] = unescape(chosen[1]) if chosen else ""
    for name, text in re.findall(r'<textarea id="[^"]*" name="([^"]*)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL):
        fields[name] = unescape(text)
    return fields


async def submit(browser: Browser, path: str, **values: Any) -> httpx.Response:
    """Change some fields of the form of an agent and send it."""
    form = form_in(await browser.get(path)) | values
    return await browser.submit(path, **{name: value for name, value in form.items() if value is not None})


@pytest.mark.parametrize(
    "path",
    ["/agents", "/agents/host", "/agents/crew", f"/agents/{LONG_NAME}", "/agents/host/history", "/agents/export.toml"],
)
async def test_everybody_of_the_organization_sees_its_agents(browser_of: BrowserOf, path: str) -> None:
    for role in ("owner", "viewer"):
        assert (await (await browser_of(role)).get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/agents/new", "/agents/import", "/agents/writer/delete"])
async def test_only_owners_and_admins_change_agents(
    browser_of: BrowserOf, anonymous_browser: Browser, path: str
) -> None:
    seen = {role: (await (await browser_of(role)).get(path)).status_code for role in ("owner", "admin", "member")}
    viewer = await browser_of("viewer")
    refused = [await viewer.submit(each) for each in (path, "/agents/writer", "/agents/writer/history")]

    assert seen == {"owner": 200, "admin": 200, "member": 403}
    assert [each.status_code for each in refused] == [403, 403, 403]
    assert (await anonymous_browser.get(path)).status_code == 303


async def test_members_look_at_an_agent_without_a_form(browser_of: BrowserOf) -> None:
    page = await (await browser_of("member")).get("/agents/writer")

    assert "Write.\nShort." in page.text
    assert 'name="instruction"' not in page.text
    assert "Delete" not in page.text


async def test_another_organizations_agents_do_not_exist(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    other = await factories.make_organization(database, agents=agents_file(TEAM[0] | {"sub_agents": []}, agent("poet")))
    theirs = (await edited(database, other, "poet")).id

    for path in ("/agents/poet", f"/agents/{theirs}", "/agents/poet/history", "/agents/poet/delete"):
        assert (await owner_browser.get(path)).status_code == 404
        assert (await owner_browser.submit(path, typed="poet")).status_code == 404
    assert "poet" not in (await owner_browser.get("/agents/export.toml")).text
    assert (await owner_browser.get("/agents/new?copy_of=poet")).status_code == 404


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


async def test_an_agent_is_made_with_all_its_settings(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    made = await submit(
        owner_browser,
        "/agents/new",
        name="loop-1",
        agent_type="LOOP_AGENT",
        description="  Polishes.  ",
        instruction="  Kept.\r\n\r\n",
        model="sim-metered",
        temperature="0.25",
        output_key="text",
        tools=["replicate_generate"],
        sub_agents=["editor", "writer"],
        order_editor="2",
        order_writer="1, 3",
        max_llm_calls="7",
        max_output_tokens="2,048",
        max_history_tokens="0",
        max_iterations="4",
        is_active=None,
    )

    assert (made.status_code, made.headers["location"]) == (303, "/admin/agents/loop-1")
    entry = (await edited(database, organization, "loop-1")).entry
    assert entry.model_dump(mode="json") == {
        "name": "loop-1",
        "description": "Polishes.",
        "agent_type": "LOOP_AGENT",
        "instruction": "  Kept.\n\n",
        "model": "sim-metered",
        "temperature": 0.25,
        "max_output_tokens": 2048,
        "max_llm_calls": 7,
        "max_iterations": 4,
        "max_history_tokens": 0,
        "tools": ["replicate_generate"],
        "sub_agents": ["writer", "editor", "writer"],
        "output_key": "text",
        "is_orchestrator": False,
        "is_active": False,
    }


async def test_a_form_that_is_sent_as_it_stands_changes_nothing(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    await change(database, organization, "editor", temperature=1e-05, instruction='\n"x" {draft}\n\n')
    async with database.transaction() as tx:
        # Of a model that has left the catalog since.
        await tx.execute(
            "UPDATE agents SET model = 'gone' WHERE organization_id = $1 AND name = 'editor'", organization.id
        )
    for name in ("host", "crew", "editor", LONG_NAME):
        before = await edited(database, organization, name)

        saved = await submit(owner_browser, f"/agents/{name}")

        assert saved.status_code == 303
        assert await edited(database, organization, name) == before


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"name": "two words"}, "name", "Begin with a letter; then letters, digits, - and _, 64 characters at most."),
        ({"name": ""}, "name", "Enter a name."),
        ({"name": "a" * 65}, "name", "A name has 65 characters. At most 64 are allowed."),
        ({"name": "writer"}, "name", "There is an agent writer already."),
        ({"name": "exit_loop"}, "name", "exit_loop is the name of a tool; an agent needs another name."),
        ({"agent_type": "CHOIR"}, "agent_type", "Choose one of: LLM_AGENT, SEQUENTIAL_AGENT"),
        ({"temperature": "2.5"}, "temperature", "Enter a number from 0 to 2."),
        ({"temperature": "warm"}, "temperature", "Enter a number from 0 to 2."),
        ({"max_llm_calls": "101"}, "max_llm_calls", "Enter a whole number from 1 to 100."),
        ({"max_iterations": "0"}, "max_iterations", "Enter a whole number from 1 to 100."),
        ({"max_output_tokens": "0"}, "max_output_tokens", "Enter a whole number from 1 to 10,000,000."),
        ({"max_history_tokens": ""}, "max_history_tokens", "Enter a whole number from 0 to 10,000,000."),
        ({"output_key": "two words"}, "output_key", "Begin with a letter or _; then letters, digits and _"),
        ({"instruction": "x" * 100_001}, "instruction", "It has 100,001 characters. At most 100,000 are allowed."),
        ({"model": "no-such-model"}, "model", "The catalog has no chat model no-such-model with a price."),
        ({"tools": ["hammer"]}, "tools", "unknown tool hammer. Known: replicate_generate."),
        ({"sub_agents": ["nobody"]}, "sub_agents", "poet cannot call nobody: there is no agent nobody."),
        ({"order_writer": "first"}, "sub_agents", "writer: enter a number such as 2, or several such as 1, 3."),
        ({"is_orchestrator": "yes", "is_active": None}, "", "poet is off: as the orchestrator it would refuse"),
    ],
    ids=range(19),
)
async def test_a_refusal_says_what_is_allowed_and_keeps_what_was_typed(
    owner_browser: Browser,
    database: Database,
    organization: Organization,
    values: dict[str, Any],
    field: str,
    said: str,
) -> None:
    typed = {
        "name": "poet",
        "description": "<b>R</b>",
        "instruction": "Line & line",
        "order_editor": "3",
        **values,
    }

    refused = await submit(owner_browser, "/agents/new", **typed)

    assert refused.status_code == 422
    assert said in (errors_of(refused).get(field, "") if field else words_of(refused))
    kept = form_in(refused)
    assert kept["description"] == ["<b>R</b>"]
    assert kept["instruction"] == typed["instruction"]
    assert kept["order_editor"] == ["3"]
    assert all(name in kept for name, value in values.items() if isinstance(value, str))
    assert "poet" not in [each.name for each in (await read_all(database, organization)).agents]


async def read_all(database: Database, organization: Organization) -> AgentsFile:
    """The organization's agents, as its export has them."""
    async with database.transaction() as tx:
        return read_agents(await export_agents(tx, organization.id))


async def test_a_circle_is_refused_in_words_and_not_offered(owner_browser: Browser) -> None:
    page = await owner_browser.get("/agents/editor")

    refused = await submit(owner_browser, "/agents/editor", sub_agents=["crew"])

    assert "Would go round in a circle: editor → crew → editor" in words_of(page)
    assert refused.status_code == 422
    assert errors_of(refused)["sub_agents"] == (
        "editor is its own sub-agent, directly or indirectly: editor → crew → editor."
    )
    assert 'value="crew" id="calls-crew" checked' in refused.text


async def test_placeholders_are_explained(owner_browser: Browser) -> None:
    words = words_of(await owner_browser.get("/agents/editor"))

    assert "{draft} is what writer answered." in words
    assert "1 Edit {draft} and {nothing}. writer" in words
    assert "No other agent sets this It stays as it is." in words


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


async def test_an_import_shows_what_it_changes_before_it_does(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    text = agents_file(
        agent("writer", model="sim-chat", output_key="draft", instruction="Write.\nLong."),
        agent("poet", model="unpriced"),
        {**TEAM[0]},
    )

    shown = await owner_browser.submit("/agents/import", text=text)
    (seal,) = re.findall(r'name="seen" value="(\w+)"', shown.text)
    unchanged = await edited(database, organization, "writer")
    taken = await owner_browser.submit("/agents/import", text=text, seen=seal)

    words = words_of(shown)
    assert shown.status_code == 200
    assert "writer Changed" in words
    assert "poet New" in words
    assert "host Changed" not in words
    assert "<del>Short.</del><ins>Long.</ins>" in shown.text
    assert "poet has the model unpriced, which the catalog has no price for" in words
    assert unchanged.version == 1
    assert (taken.status_code, taken.headers["location"]) == (303, "/admin/agents")
    versions = await history_of(database, organization, "writer")
    assert [(each.event, each.actor_id) for each in versions] == [
        ("imported", None),
        ("imported", organization.user_id),
    ]


async def test_an_import_that_would_change_something_else_by_now_is_shown_again(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    text = agents_file(agent("writer", model="sim-chat", description="New."))
    shown = await owner_browser.submit("/agents/import", text=text)
    (seal,) = re.findall(r'name="seen" value="(\w+)"', shown.text)
    await change(database, organization, "writer", temperature=1.0)

    again = await owner_browser.submit("/agents/import", text=text, seen=seal)

    assert again.status_code == 409
    assert "The agents were changed meanwhile." in words_of(again)
    assert (await edited(database, organization, "writer")).entry.temperature == 1.0


async def test_a_file_is_uploaded(owner_browser: Browser) -> None:
    files = {"file": ("agents.toml", "\ufeff" + agents_file(agent("poet", instruction="Ü")), "application/toml")}
    binary = {"file": ("agents.toml", b"\xff\xfe\x00", "application/toml")}

    shown = await owner_browser.post("/agents/import", data={"csrf": owner_browser.csrf, "text": ""}, files=files)
    refused = await owner_browser.post("/agents/import", data={"csrf": owner_browser.csrf, "text": ""}, files=binary)

    assert "poet New" in words_of(shown)
    assert (refused.status_code, "is not UTF-8 text" in errors_of(refused)["file"]) == (422, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Paste agents in TOML, or choose a file."),
        ("[[agents]", "Not a TOML file"),
        ('[[agents]]\nname = "a"\nsurprise = 1', "agents.0.surprise"),
        ('[[agents]]\nname = "editor"\nsub_agents = ["crew"]', "editor → crew → editor"),
        ('[[agents]]\nname = "a"\nsub_agents = ["ghost"]', "there is no agent ghost"),
        ('[[agents]]\nname = "a"\ntools = ["rm"]', "unknown tool rm"),
        ("# " + "x" * 500_000, "It has more than 500,000 bytes."),
    ],
    ids=["empty", "broken", "field", "circle", "sub-agent", "tool", "large"],
)
async def test_a_file_that_cannot_be_imported_is_refused_and_kept(owner_browser: Browser, text: str, said: str) -> None:
    refused = await owner_browser.submit("/agents/import", text=text)

    assert refused.status_code == 422
    assert said in errors_of(refused)["text"]
    assert text in unescape(refused.text)
    assert 'name="seen"' not in refused.text


async def test_an_export_is_imported_again_without_a_change(owner_browser: Browser) -> None:
    exported = await owner_browser.get("/agents/export.toml")

    shown = await owner_browser.submit("/agents/import", text=exported.text)

    assert exported.headers["content-disposition"] == 'attachment; filename="agents.toml"'
    assert len(read_agents(exported.text).agents) == len(TEAM)
    assert "Nothing would change" in words_of(shown)


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
