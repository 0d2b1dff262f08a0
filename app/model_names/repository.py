from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from asyncpg import Record

from app.agents.definition import AgentType
from app.core.database import Transaction

_AGENTS = """
SELECT name, created_at, is_orchestrator, is_active AND agent_type = $2 AS is_invocable
FROM agents WHERE organization_id = $1 ORDER BY name
"""


@dataclass(frozen=True)
class NamedAgent:
    """What the names of models are made from: an agent, and whether clients may ask it by its name."""

    name: str
    created_at: datetime
    is_orchestrator: bool
    is_invocable: bool

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The agent of a row."""
        return cls(row["name"], row["created_at"], row["is_orchestrator"], row["is_invocable"])


async def list_agents(tx: Transaction, organization_id: str) -> Sequence[NamedAgent]:
    """The organization's agents, by name."""
    return [NamedAgent.from_row(row) for row in await tx.fetch(_AGENTS, organization_id, AgentType.LLM.value)]
