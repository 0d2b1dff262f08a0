import uuid
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Moment, one_of


class RunStatus(StrEnum):
    """How far a response is, as clients see it."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"


# Those of responses that have not ended.
LIVE: Final = (RunStatus.QUEUED, RunStatus.IN_PROGRESS)


class ResponseRun(Base):
    """A response that runs without its client: who runs it, and how far it is. It goes with its session.

    While it is leased, somebody has to do something about it; whoever finds the lease expired takes it over.
    """

    __tablename__ = "response_runs"
    __table_args__ = (
        CheckConstraint(one_of("status", RunStatus), name="status_known"),
        CheckConstraint(f"({one_of('status', LIVE)}) = (ended_at IS NULL)", name="live_until_ended"),
        CheckConstraint("lease_until IS NOT NULL OR ended_at IS NOT NULL", name="leased_while_live"),
        CheckConstraint("lease_until IS NULL OR request IS NOT NULL", name="request_while_leased"),
        Index("ix_response_runs_session", "session_id"),
        Index("ix_response_runs_lease", "lease_until", postgresql_where=text("lease_until IS NOT NULL")),
        Index("ix_response_runs_ended", "ended_at", postgresql_where=text("next_event > 0")),
    )

    # The response's.
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    # Whose rights are looked at again if the run begins again. It refers to no key, which may be deleted.
    api_key_id: Mapped[str] = mapped_column(Text)
    session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    # The turn of this attempt.
    turn_id: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    # A fencing token: whoever takes the run over increments it, and every statement of a holder names it.
    attempt: Mapped[int] = mapped_column(BigInteger, default=1, server_default="1")
    # Null once everything is done: also what a cancelled response has used is charged.
    lease_until: Mapped[Moment | None]
    # What its first turn was, and so what all of its events say.
    identity: Mapped[dict[str, Any]] = mapped_column(JSON)
    # The body of the request, to begin again with; null once nobody will.
    request: Mapped[bytes | None] = mapped_column(LargeBinary)
    # The response and the items of its request as they are shown, unless they are kept; see `app.kept_responses`.
    response: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    input: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    # What this attempt had used when its last events were stored.
    uses: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    # The number of the next event; 0 if none are stored, and below it if they were.
    next_event: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    ended_at: Mapped[Moment | None]


class ResponseEvents(Base):
    """Events of a response that were stored together, as they are sent: from the number `first` on."""

    __tablename__ = "response_events"

    response_id: Mapped[str] = mapped_column(ForeignKey("response_runs.id", ondelete="CASCADE"), primary_key=True)
    first: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[bytes] = mapped_column(LargeBinary)
