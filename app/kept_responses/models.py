import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, func
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Moment


class KeptResponse(Base):
    """A response that its client can ask for again, and go on from. It goes with the session that it belongs to."""

    __tablename__ = "kept_responses"
    __table_args__ = (Index("ix_kept_responses_session", "session_id"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    turn_id: Mapped[str] = mapped_column(Text)
    # `json` and not `jsonb`: it is shown with its fields in their original order.
    response: Mapped[dict[str, Any]] = mapped_column(JSON)
    # The items of its request.
    input: Mapped[list[Any]] = mapped_column(JSON)
    # What the model needs back of its calls, which the response does not show.
    thoughts: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
