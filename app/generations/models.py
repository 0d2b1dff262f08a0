import uuid
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.crypto import random_token
from app.core.database import Base, Credits, Moment, one_of
from app.generations.media_types import ContentType
from app.generations.states import CONDITIONS, ENDED, PROCESSING, UNENDED, State, Status

_UNENDED = one_of("status", UNENDED)


class Generation(Base):
    """One requested generation. Its attempt, which fences every change, is `retry_count`: 0 for the first run."""

    __tablename__ = "generations"
    __table_args__ = (
        CheckConstraint(one_of("status", Status), name="status_known"),
        CheckConstraint(one_of("content_type", ContentType), name="content_type_known"),
        CheckConstraint("retry_count >= 0 AND retry_count <= max_retries", name="retry_count_range"),
        CheckConstraint("credit_cost >= 0", name="credit_cost_not_negative"),
        CheckConstraint(
            f"({one_of('status', ENDED)}) = (completed_at IS NOT NULL AND credit_cost IS NOT NULL)",
            name="ended_with_cost",
        ),
        CheckConstraint(f"status <> '{Status.COMPLETED}' OR content_type IS NOT NULL", name="completed_has_type"),
        CheckConstraint(f"(status = '{Status.FAILED}') = (error_message IS NOT NULL)", name="failed_has_message"),
        CheckConstraint(f"status = '{Status.PENDING}' OR NOT is_parked", name="parked_is_pending"),
        UniqueConstraint("file_token"),
        Index("ix_generations_listing", "organization_id", text("created_at DESC"), text("id DESC")),
        Index("ix_generations_turn", "turn_id"),
        Index("ix_generations_request_key", "request_key", postgresql_where=text("request_key IS NOT NULL")),
        Index("ix_generations_session", "session_id", postgresql_where=text(_UNENDED)),
        # Each query of the worker reads one of these, so that no backlog of one kind makes another one slow.
        Index("ix_generations_pending_due", "due_at", postgresql_where=text(CONDITIONS[State.PENDING])),
        Index("ix_generations_running_due", "due_at", postgresql_where=text(f"{PROCESSING} AND outcome IS NULL")),
        Index("ix_generations_copying_due", "due_at", postgresql_where=text(CONDITIONS[State.COPYING])),
        Index("ix_generations_deadline", "deadline_at", postgresql_where=text(_UNENDED)),
        Index("ix_generations_active", "organization_id", postgresql_where=text(f"{_UNENDED} AND NOT is_parked")),
        Index(
            "ix_generations_parked",
            "organization_id",
            "created_at",
            postgresql_where=text(CONDITIONS[State.PARKED]),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    session_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("sessions.id", ondelete="SET NULL"))
    turn_id: Mapped[str | None] = mapped_column(Text)
    # The request with an Idempotency-Key that the turn answers: its repetition finds here what was lost with a crash.
    request_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    model: Mapped[str] = mapped_column(Text)
    input: Mapped[dict[str, Any]] = mapped_column(JSONB)
    prompt: Mapped[str] = mapped_column(Text)
    price_id: Mapped[int] = mapped_column(ForeignKey("prices.id"))
    max_retries: Mapped[int]
    file_token: Mapped[str] = mapped_column(Text, default=random_token)

    status: Mapped[str] = mapped_column(Text, default=Status.PENDING)
    retry_count: Mapped[int] = mapped_column(default=0)
    # When the next step is due at the latest: the sweeper takes rows whose moment has passed.
    due_at: Mapped[Moment] = mapped_column(server_default=func.now())
    deadline_at: Mapped[Moment]
    # How often this attempt's next step was put off since the last one that succeeded; not the user's retries.
    failures: Mapped[int] = mapped_column(default=0)
    # Waits for another generation of its organization to end, and is not due before that.
    is_parked: Mapped[bool] = mapped_column(default=False)
    # Names this content in the address that the vendor calls back.
    webhook_nonce: Mapped[str] = mapped_column(Text, default=random_token)
    prediction_id: Mapped[str | None] = mapped_column(Text, unique=True)
    # What the vendor ended with, kept because it forgets outputs after an hour: {"output", "predict_time"}.
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    content_type: Mapped[str | None] = mapped_column(Text)
    output_url: Mapped[str | None] = mapped_column(Text)
    error_message: Mapped[str | None] = mapped_column(Text)
    credit_cost: Mapped[Credits | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    started_at: Mapped[Moment | None]
    completed_at: Mapped[Moment | None]


class Output(Base):
    """One file of one attempt. The row is written before the bytes are, so that no object can be lost sight of.

    `position` 0 is the content's own. Size and hash are null until the stored bytes have been read back.
    """

    __tablename__ = "outputs"
    __table_args__ = (
        UniqueConstraint("storage_path"),
        CheckConstraint("size_bytes >= 0", name="size_not_negative"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_is_hex"),
        CheckConstraint("(size_bytes IS NULL) = (sha256 IS NULL)", name="verified_whole"),
        Index(
            "ix_outputs_unverified",
            "generation_id",
            "attempt",
            "position",
            postgresql_where=text("size_bytes IS NULL"),
        ),
    )

    generation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("generations.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    storage_path: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str] = mapped_column(Text)
    media_type: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(Text)
