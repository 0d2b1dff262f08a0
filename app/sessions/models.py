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

from app.core.database import Base, Moment, one_of
from app.sessions.messages import MessageRole


class Session(Base):
    """A conversation of one user. `public_id` is its name in the API, which the client may have chosen."""

    __tablename__ = "sessions"
    __table_args__ = (
        UniqueConstraint("organization_id", "user_id", "public_id"),
        CheckConstraint("(turn_id IS NULL) = (turn_lease_until IS NULL)", name="turn_has_lease"),
        Index("ix_sessions_of_user", "organization_id", "user_id", text("last_update_time DESC"), text("id DESC")),
        # What the console lists: all of an organization, those that a key has begun, and those whose name begins so.
        Index("ix_sessions_organization", "organization_id", text("last_update_time DESC"), text("id DESC")),
        Index(
            "ix_sessions_of_key",
            "api_key_id",
            text("last_update_time DESC"),
            text("id DESC"),
            postgresql_where=text("api_key_id IS NOT NULL"),
        ),
        Index("ix_sessions_name", "organization_id", "public_id", postgresql_ops={"public_id": "text_pattern_ops"}),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    public_id: Mapped[str] = mapped_column(Text)
    # The key that it was begun with; none if that was in the console, or in an older version. It may be deleted.
    api_key_id: Mapped[str | None] = mapped_column(Text)
    message_count: Mapped[int] = mapped_column(default=0)
    # The turn that is running, as long as its lease has not expired.
    turn_id: Mapped[str | None] = mapped_column(Text)
    turn_lease_until: Mapped[Moment | None]
    last_turn_failed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    last_update_time: Mapped[Moment] = mapped_column(server_default=func.now())


class Message(Base):
    """One message of a session: OpenAI's form of it, split into columns."""

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint(one_of("role", MessageRole), name="role_known"),
        Index("ix_messages_session", "session_id", "id"),
        Index("ix_messages_in_force", "session_id", "id", postgresql_where=text("superseded_by IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    turn_id: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    content: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    agent: Mapped[str | None] = mapped_column(Text)
    tool_calls: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    tool_call_id: Mapped[str | None] = mapped_column(Text)
    # The name that the client has given to the author, if there are several of the same role.
    name: Mapped[str | None] = mapped_column(Text)
    # Further fields as the author has sent them, such as signed reasoning, and their length as JSON text.
    additions: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    additions_bytes: Mapped[int | None]
    # The turn whose request has replaced it: it is listed, and no longer sent to models. Older versions ignore this.
    superseded_by: Mapped[str | None] = mapped_column(Text)
    # The length as JSON text, which is what loading costs. Postgres may store it much smaller, compressed.
    size_bytes: Mapped[int] = mapped_column(
        Computed("coalesce(octet_length(content::text), 0) + coalesce(octet_length(tool_calls::text), 0)")
    )
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
