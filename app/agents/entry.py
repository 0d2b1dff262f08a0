"""An agent as its operator writes it: in a file, in a form, in its history. Others are named, not referred to by id."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.agents.definition import (
    DEFAULT_MAX_HISTORY_TOKENS,
    DEFAULT_MAX_ITERATIONS,
    DEFAULT_MAX_LLM_CALLS,
    HIGHEST_TEMPERATURE,
    LONGEST_DESCRIPTION,
    LONGEST_INSTRUCTION,
    MOST_ITERATIONS,
    MOST_LLM_CALLS,
    MOST_TOKENS,
    AgentType,
)
from app.agents.errors import AgentRefusedError
from app.agents.models import Agent
from app.agents.tools.registry import NAMEABLE_TOOLS, TOOL_NAMES


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must hold no NUL character")
    return text


# A parent calls its sub-agents as tools, and this is the form that OpenAI requires of a tool's name.
AgentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
_Text = Annotated[str, AfterValidator(_storable)]


class AgentEntry(BaseModel):
    """An agent: `[[agents]]` of an agents file. Two are equal if their fields are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: AgentName
    description: _Text = Field(default="", max_length=LONGEST_DESCRIPTION)
    agent_type: AgentType = AgentType.LLM
    instruction: _Text = Field(default="", max_length=LONGEST_INSTRUCTION)
    model: _Text | None = Field(default=None, min_length=1)
    temperature: float | None = Field(default=None, ge=0, le=HIGHEST_TEMPERATURE)
    max_output_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    max_llm_calls: int = Field(default=DEFAULT_MAX_LLM_CALLS, ge=1, le=MOST_LLM_CALLS)
    max_iterations: int = Field(default=DEFAULT_MAX_ITERATIONS, ge=1, le=MOST_ITERATIONS)
    max_history_tokens: int = Field(default=DEFAULT_MAX_HISTORY_TOKENS, ge=0, le=MOST_TOKENS)
    tools: list[str] = []
    sub_agents: list[AgentName] = []
    output_key: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)
    is_orchestrator: bool = False
    is_active: bool = True

    def to_json(self) -> dict[str, Any]:
        """The entry as its history keeps it."""
        return self.model_dump(mode="json")


def stored_entry(values: Mapping[str, Any]) -> AgentEntry:
    """The entry with values that are stored already. They are not checked: they may be older than a rule.

    Values that are no fields of an entry are passed over.
    """
    known = {name: value for name, value in values.items() if name in AgentEntry.model_fields}
    return AgentEntry.model_construct(**{**known, "agent_type": AgentType(values["agent_type"])})


def entry_of(agent: Agent, sub_agents: Sequence[str]) -> AgentEntry:
    """The entry of an agent that has sub-agents of these names."""
    columns = AgentEntry.model_fields.keys() - {"sub_agents"}
    return stored_entry({**{name: getattr(agent, name) for name in columns}, "sub_agents": list(sub_agents)})


def check_entry(entry: AgentEntry) -> None:
    """Check what an entry says by itself.

    Raises:
        AgentRefusedError: it names a tool that does not exist, has the name of one, or is its own sub-agent.
    """
    unknown = sorted(set(entry.tools) - set(NAMEABLE_TOOLS))
    if unknown:
        known = ", ".join(NAMEABLE_TOOLS)
        raise AgentRefusedError(f"{entry.name}: unknown tool {unknown[0]}. Known: {known}", param="tools")
    if entry.name in TOOL_NAMES:
        # A parent calls its sub-agents by their names: it could not call both this one and the tool.
        raise AgentRefusedError(f"{entry.name} is the name of a tool; an agent needs another name", param="name")
