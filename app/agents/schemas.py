from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.agents.definition import AgentType

# A sub-agent is offered to its parent as a tool, and OpenAI's tool names have this form.
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
    max_llm_calls: int = Field(default=10, ge=1, le=100)
    max_iterations: int = Field(default=5, ge=1, le=100)
    max_history_tokens: int = Field(default=32_000, ge=0)
    tools: list[str] = []
    sub_agents: list[AgentName] = []
    output_key: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    is_orchestrator: bool = False
    is_active: bool = True


class AgentsFile(BaseModel):
    """A set of agents in TOML."""

    model_config = ConfigDict(extra="forbid")

    agents: list[AgentEntry] = Field(min_length=1)
