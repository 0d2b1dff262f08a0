from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.agents.definition import (
    DEFAULT_MAX_HISTORY_TOKENS,
    DEFAULT_MAX_ITERATIONS,
    DEFAULT_MAX_LLM_CALLS,
    AgentType,
)
from app.core.crypto import new_id
from app.core.database import Base, Moment, one_of


class Agent(Base):
    """An agent that an operator has defined for an organization."""

    __tablename__ = "agents"
    __table_args__ = (
        UniqueConstraint("organization_id", "name"),
        CheckConstraint(one_of("agent_type", AgentType), name="agent_type_known"),
        CheckConstraint("temperature BETWEEN 0 AND 2", name="temperature_range"),
        CheckConstraint("max_output_tokens > 0", name="max_output_tokens_positive"),
        CheckConstraint("max_llm_calls > 0", name="max_llm_calls_positive"),
        CheckConstraint("max_iterations > 0", name="max_iterations_positive"),
        CheckConstraint("max_history_tokens >= 0", name="max_history_tokens_not_negative"),
        Index("uq_agents_orchestrator", "organization_id", unique=True, postgresql_where=text("is_orchestrator")),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=lambda: new_id("agent"))
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, default="")
    agent_type: Mapped[str] = mapped_column(Text, default=AgentType.LLM.value)
    instruction: Mapped[str] = mapped_column(Text, default="")
    # None means the operator's LLM_MODEL.
    model: Mapped[str | None] = mapped_column(Text)
    temperature: Mapped[float | None]
    max_output_tokens: Mapped[int | None]
    max_llm_calls: Mapped[int] = mapped_column(default=DEFAULT_MAX_LLM_CALLS)
    max_iterations: Mapped[int] = mapped_column(default=DEFAULT_MAX_ITERATIONS)
    max_history_tokens: Mapped[int] = mapped_column(default=DEFAULT_MAX_HISTORY_TOKENS)
    tools: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    output_key: Mapped[str | None] = mapped_column(Text)
    is_orchestrator: Mapped[bool] = mapped_column(default=False)
    is_active: Mapped[bool] = mapped_column(default=True)
    # Of its row in `agent_versions`. What changes an agent without writing history leaves it as it is.
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    updated_at: Mapped[Moment] = mapped_column(server_default=func.now(), onupdate=func.now())


class SubAgent(Base):
    """Links an agent to one of its sub-agents; `position` gives their order."""

    __tablename__ = "sub_agents"
    __table_args__ = (CheckConstraint("agent_id <> sub_agent_id", name="not_itself"),)

    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    sub_agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"), index=True)


class VersionEvent(StrEnum):
    """What has led to a version of an agent."""

    CREATED = "created"
    CHANGED = "changed"
    IMPORTED = "imported"
    RESTORED = "restored"
    DELETED = "deleted"
    # The agent was found to differ from its history, or to have none: something that writes no history made it so.
    FOUND = "found"


class AgentVersion(Base):
    """An agent as it was from some moment on. Versions are only ever added, and stay when the agent is deleted.

    `agent_id` refers to no other table for that reason. `definition` has the fields of an `AgentEntry`.
    """

    __tablename__ = "agent_versions"
    __table_args__ = (
        CheckConstraint(one_of("event", VersionEvent), name="event_known"),
        CheckConstraint("version > 0", name="version_positive"),
    )

    agent_id: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    definition: Mapped[dict[str, Any]] = mapped_column(JSONB)
    event: Mapped[str] = mapped_column(Text)
    # Of a restored version: the one that it repeats.
    restored_from: Mapped[int | None]
    actor_kind: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
