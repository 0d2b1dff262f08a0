"""Exports of agents as TOML: what is written is read again as it was."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agents.definition import AgentType
from app.agents.editing import export_agents
from app.agents.entry import AgentEntry
from app.agents.service import import_agents
from app.agents.toml import read_agents, write_agents
from app.agents.tools.registry import NAMEABLE_TOOLS, TOOL_NAMES
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from tests import factories
from tests.agents.definitions import agent, agents_file, container

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,63}", fullmatch=True).filter(lambda name: name not in TOOL_NAMES)
# Many of those that TOML has rules about.
_ODD = st.text(st.sampled_from("\"'\\\r\n\t\x01\x7f\x85\u2028 #={}é語🙂a"))
_TEXTS = st.one_of(_ODD, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
_TOKENS = st.integers(1, 10_000_000)


def _entries(name: str) -> st.SearchStrategy[AgentEntry]:
    return st.builds(
        AgentEntry,
        name=st.just(name),
        description=_TEXTS,
        agent_type=st.sampled_from(AgentType),
        instruction=_TEXTS,
        model=st.none() | _TEXTS.filter(bool),
        temperature=st.none() | st.floats(0, 2),
        max_output_tokens=st.none() | _TOKENS,
        max_llm_calls=st.integers(1, 100),
        max_iterations=st.integers(1, 100),
        max_history_tokens=_TOKENS,
        tools=st.lists(st.sampled_from(NAMEABLE_TOOLS)),
        sub_agents=st.lists(_NAMES, max_size=4),
        output_key=st.none() | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,63}", fullmatch=True),
        is_active=st.booleans(),
    )


_FILES = st.lists(_NAMES, min_size=1, max_size=4, unique=True).flatmap(
    lambda names: st.tuples(*(_entries(name) for name in names))
)


@given(_FILES)
def test_what_is_written_is_read_again_as_it_was(entries: tuple[AgentEntry, ...]) -> None:
    assert read_agents(write_agents(entries)).agents == list(entries)


@pytest.mark.parametrize(
    "text",
    [
        '"""',
        'a"',
        '""""\n"',
        "\\",
        "\n",
        "\n\n",
        "a\\\n  b",
        "a\r\nb\rc",
        '\\"\n\\"""',
        "'''\n",
        "\ttab\n",
        "\ufeffbom\n",
    ],
    ids=range(12),
)
def test_texts_with_odd_ends_survive(text: str) -> None:
    entry = AgentEntry(name="a", instruction=text, description=text)

    assert read_agents(write_agents([entry])).agents == [entry]


def test_an_instruction_is_written_as_one_reads_it() -> None:
    entry = AgentEntry(name="poet", instruction='Say "yes".\nThen stop.\n', tools=["replicate_generate"])

    assert write_agents([entry]) == (
        '[[agents]]\nname = "poet"\ninstruction = """\nSay "yes".\nThen stop.\n"""\ntools = ["replicate_generate"]\n'
    )


async def test_an_export_that_is_imported_elsewhere_makes_the_same_agents(database: Database) -> None:
    definitions: list[dict[str, Any]] = [
        container("LOOP", "poet", "critic", "poet", name="host", is_orchestrator=True, max_iterations=7),
        agent("poet", instruction='In verse.\r\n\\ """ {theme}', output_key="poem", temperature=1e-05),
        agent("critic", is_active=False, description="Ü\u2028"),
        agent("a" * 64),
    ]
    first = await factories.make_organization(database, agents=agents_file(*definitions))
    second = await factories.make_organization(database, agents=agents_file({"name": "host", "is_orchestrator": True}))

    async with database.transaction() as tx:
        exported = await export_agents(tx, first.id)
        await import_agents(tx, second.id, read_agents(exported), actor=COMMAND_LINE)
        again = await export_agents(tx, second.id)

    assert again == exported
    assert [entry.name for entry in read_agents(exported).agents] == ["a" * 64, "critic", "host", "poet"]
