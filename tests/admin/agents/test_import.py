"""Agents as a file: shown before it is imported, refused and kept, and exported."""

import re
from html import unescape

import pytest

from app.agents.toml import read_agents
from app.core.database import Database
from tests.admin.agents.forms import TEAM, errors_of, words_of
from tests.admin.conftest import Browser
from tests.agents.definitions import agent, agents_file
from tests.agents.editing import change, edited, history_of
from tests.factories import Organization


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
