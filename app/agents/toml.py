"""Agents as TOML, the form in which operators import and export them."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from app.agents.definition import AgentType
from app.agents.entry import AgentEntry, check_entry
from app.agents.errors import AgentFileError
from app.core.toml_files import read_toml

STARTER_AGENTS = Path(__file__).with_name("starter.toml")


class AgentsFile(BaseModel):
    """A whole agents file."""

    model_config = ConfigDict(extra="forbid")

    agents: list[AgentEntry] = Field(min_length=1)


def read_agents(text: str) -> AgentsFile:
    """Parse and check an agents file.

    Raises:
        AgentFileError: the file is invalid. The message says where and why.
    """
    parsed = read_toml(text, AgentsFile, refusal=AgentFileError)
    _check_entries(parsed.agents)
    return parsed


def read_starter_agents() -> AgentsFile:
    """The agents that a new organization gets."""
    return read_agents(STARTER_AGENTS.read_text(encoding="utf-8"))


def write_agents(entries: Iterable[AgentEntry]) -> str:
    """Agents as a file from which `read_agents` reads the same agents. What is a default is left out.

    Only agents that could be imported make a file that can be.
    """
    return "\n".join(f"[[agents]]\n{''.join(_lines(entry))}" for entry in entries)


def _check_entries(entries: Sequence[AgentEntry]) -> None:
    repeated = [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]
    if repeated:
        raise AgentFileError(f"agents: {repeated[0]} is defined twice")
    if sum(entry.is_orchestrator for entry in entries) > 1:
        raise AgentFileError("agents: only one agent may be the orchestrator")
    for entry in entries:
        check_entry(entry)


def _lines(entry: AgentEntry) -> Iterator[str]:
    """A line for each field whose value is not its default."""
    for name, field in AgentEntry.model_fields.items():
        value = getattr(entry, name)
        if value != field.get_default():
            yield f"{name} = {_value(value)}\n"


def _value(value: object) -> str:
    match value:
        case AgentType():
            return f'"{value.value}"'
        case str():
            return _paragraphs(value) if "\n" in value else _quoted(value)
        case list():
            return f"[{', '.join(_quoted(item) for item in value)}]"
        case bool():
            return "true" if value else "false"
        case _:
            return repr(value)


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's too, with two exceptions: TOML has no surrogate pairs, and DEL must be escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _paragraphs(text: str) -> str:
    """The text as a string of several lines. A carriage return is escaped: readers may turn it into a line feed."""
    lines = [_quoted(line)[1:-1] for line in text.split("\n")]
    return '"""\n' + "\n".join(lines).replace('\\"', '"').replace('"""', '""\\"') + '"""'
