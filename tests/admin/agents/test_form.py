"""The form of an agent: all its settings, what is refused and keeps what was typed, and what it explains."""

from typing import Any

import pytest

from app.agents.editing import export_agents
from app.agents.toml import AgentsFile, read_agents
from app.core.database import Database
from tests.admin.agents.forms import LONG_NAME, errors_of, form_in, submit, words_of
from tests.admin.conftest import Browser
from tests.agents.editing import change, edited
from tests.factories import Organization


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
