"""Agents as TOML, the form in which operators import them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.agents.definition import (
    DEFAULT_MAX_HISTORY_TOKENS,
    DEFAULT_MAX_ITERATIONS,
    DEFAULT_MAX_LLM_CALLS,
    AgentType,
)
from app.agents.errors import AgentFileError
from app.agents.tools.registry import NAMEABLE_TOOLS, TOOL_NAMES
from app.core.toml_files import read_toml

STARTER_AGENTS = Path(__file__).with_name("starter.toml")

# A parent calls its sub-agents as tools, and this is the form that OpenAI requires of a tool's name.
AgentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]


class AgentEntry(BaseModel):
    """`[[agents]]` of an agents file."""

    model_config = ConfigDict(extra="forbid")

    name: AgentName
    description: str = ""
    agent_type: AgentType = AgentType.LLM
    instruction: str = ""
    model: str | None = Field(default=None, min_length=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_output_tokens: int | None = Field(default=None, ge=1)
    max_llm_calls: int = Field(default=DEFAULT_MAX_LLM_CALLS, ge=1, le=100)
    max_iterations: int = Field(default=DEFAULT_MAX_ITERATIONS, ge=1, le=100)
    max_history_tokens: int = Field(default=DEFAULT_MAX_HISTORY_TOKENS, ge=0)
    tools: list[str] = []
    sub_agents: list[AgentName] = []
    output_key: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    is_orchestrator: bool = False
    is_active: bool = True


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


def _check_entries(entries: Sequence[AgentEntry]) -> None:
    repeated = [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]
    if repeated:
        raise AgentFileError(f"agents: {repeated[0]} is defined twice")
    if sum(entry.is_orchestrator for entry in entries) > 1:
        raise AgentFileError("agents: only one agent may be the orchestrator")
    for entry in entries:
        unknown = sorted(set(entry.tools) - set(NAMEABLE_TOOLS))
        if unknown:
            raise AgentFileError(f"{entry.name}: unknown tool {unknown[0]}. Known: {', '.join(NAMEABLE_TOOLS)}")
        if entry.name in TOOL_NAMES:
            # A parent calls its sub-agents by their names: it could not call both this one and the tool.
            raise AgentFileError(f"agents: {entry.name} is the name of a tool; an agent needs another name")
        if entry.name in entry.sub_agents:
            raise AgentFileError(f"sub_agents: {entry.name} is its own sub-agent, directly or indirectly")
