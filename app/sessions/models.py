import uuid
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Moment


class Session(Base):
    """A conversation of one user. `public_id` is what clients call it; they may have chosen it themselves."""

    __tablename__ = "sessions"
    __table_args__ = (
        UniqueConstraint("organization_id", "user_id", "public_id"),
        CheckConstraint("(turn_id IS NULL) = (turn_lease_until IS NULL)", name="turn_has_lease"),
        Index("ix_sessions_listing", "organization_id", "user_id", text("last_update_time DESC")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    public_id: Mapped[str] = mapped_column(Text)
    message_count: Mapped[int] = mapped_column(default=0)
    # The turn that runs now, if its lease still lives, and how the last one ended.
    turn_id: Mapped[str | None] = mapped_column(Text)
    turn_lease_until: Mapped[Moment | None]
    last_turn_failed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    last_update_time: Mapped[Moment] = mapped_column(server_default=func.now())


class Message(Base):
    """One message of a session, in OpenAI's wire form split into columns."""

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("role IN ('system', 'developer', 'user', 'assistant', 'tool')", name="role_known"),
        Index("ix_messages_session", "session_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    turn_id: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    content: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    agent: Mapped[str | None] = mapped_column(Text)
    tool_calls: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    tool_call_id: Mapped[str | None] = mapped_column(Text)
    # Which of several users or agents of the client's speaks.
    name: Mapped[str | None] = mapped_column(Text)
    # As JSON text, not as Postgres compresses it: what an image made of one colour takes when it is loaded.
    size_bytes: Mapped[int] = mapped_column(
        Computed("coalesce(octet_length(content::text), 0) + coalesce(octet_length(tool_calls::text), 0)")
    )
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
