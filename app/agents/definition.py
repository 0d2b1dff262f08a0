from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

# What an agent has unless its operator says something else.
DEFAULT_MAX_LLM_CALLS = 10
DEFAULT_MAX_ITERATIONS = 5
DEFAULT_MAX_HISTORY_TOKENS = 32_000
# The most that an operator may ask for.
MOST_LLM_CALLS = 100
MOST_ITERATIONS = 100
MOST_TOKENS = 10_000_000
HIGHEST_TEMPERATURE = 2.0
LONGEST_DESCRIPTION = 4_000
LONGEST_INSTRUCTION = 100_000


class AgentType(StrEnum):
    LLM = "LLM_AGENT"
    SEQUENTIAL = "SEQUENTIAL_AGENT"
    PARALLEL = "PARALLEL_AGENT"
    LOOP = "LOOP_AGENT"


@dataclass(frozen=True)
class AgentDefinition:
    """An agent with everything below it, as it was when the turn began. `model` is never empty."""

    id: str
    name: str
    description: str
    agent_type: AgentType
    instruction: str
    model: str
    temperature: float | None
    max_output_tokens: int | None
    max_llm_calls: int
    max_iterations: int
    max_history_tokens: int
    tools: tuple[str, ...]
    output_key: str | None
    sub_agents: tuple["AgentDefinition", ...]

    def tree(self) -> Iterator["AgentDefinition"]:
        """This agent and every agent below it, each once."""
        seen: set[str] = set()
        waiting = [self]
        while waiting:
            agent = waiting.pop()
            if agent.id not in seen:
                seen.add(agent.id)
                yield agent
                waiting += reversed(agent.sub_agents)

    def readers(self) -> Iterator["AgentDefinition"]:
        """The LLM agents that see the conversation itself, and not only what another agent asks them."""
        seen: set[str] = set()
        waiting = [self]
        while waiting:
            agent = waiting.pop()
            if agent.id in seen:
                continue
            seen.add(agent.id)
            if agent.agent_type is AgentType.LLM:
                yield agent
            else:
                waiting += reversed(agent.sub_agents)

    def models(self) -> set[str]:
        """The chat models that a run of this agent may call."""
        return {agent.model for agent in self.tree() if agent.agent_type is AgentType.LLM}

    def tool_names(self) -> set[str]:
        """The names of the server tools that this agent and those below it have."""
        return {name for agent in self.tree() for name in agent.tools}
