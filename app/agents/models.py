from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
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
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    updated_at: Mapped[Moment] = mapped_column(server_default=func.now(), onupdate=func.now())


class SubAgent(Base):
    """Links an agent to one of its sub-agents; `position` gives their order."""

    __tablename__ = "sub_agents"
    __table_args__ = (CheckConstraint("agent_id <> sub_agent_id", name="not_itself"),)

    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    sub_agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"), index=True)
