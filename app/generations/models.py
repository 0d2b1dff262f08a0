import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.crypto import random_token
from app.core.database import AttributionColumns, Base, Credits, Moment, one_of
from app.generations.media_types import ContentType
from app.generations.states import CONDITIONS, ENDED, PROCESSING, UNENDED, State, Status

_UNENDED = one_of("status", UNENDED)


class Generation(Base):
    """One requested generation. `retry_count` is the number of its attempt, from 0, and fences every change."""

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
        # By what lists are filtered, in the API and in the console: see app/admin/content/queries.py. Far pages of the
        # API's are found without reading a row.
        Index("ix_generations_user", "organization_id", "user_id", text("created_at DESC"), text("id DESC")),
        Index(
            "ix_generations_typed",
            "organization_id",
            "content_type",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_include=["status"],
            postgresql_where=text("content_type IS NOT NULL"),
        ),
        Index(
            "ix_generations_status",
            "organization_id",
            "status",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text(f"status <> '{Status.COMPLETED}'"),
        ),
        Index(
            "ix_generations_completed",
            "organization_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text(f"status = '{Status.COMPLETED}'"),
        ),
        Index("ix_generations_turn", "turn_id"),
        Index("ix_generations_request_key", "request_key", postgresql_where=text("request_key IS NOT NULL")),
        Index("ix_generations_session", "session_id", postgresql_where=text(_UNENDED)),
        # For the foreign key, when a session is deleted.
        Index("ix_generations_of_session", "session_id", postgresql_where=text("session_id IS NOT NULL")),
        # Each query of the worker uses one of these, so that no backlog of one kind makes another one slow.
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
    # Identifies the turn's request if it has an Idempotency-Key: repeated after a crash, it finds this generation.
    request_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    model: Mapped[str] = mapped_column(Text)
    # These two and `outcome` may be megabytes: a query loads them only if it names them.
    input: Mapped[dict[str, Any]] = mapped_column(JSONB, deferred=True, deferred_raiseload=True)
    prompt: Mapped[str] = mapped_column(Text, deferred=True, deferred_raiseload=True)
    price_id: Mapped[int] = mapped_column(ForeignKey("prices.id"))
    max_retries: Mapped[int]
    file_token: Mapped[str] = mapped_column(Text, default=random_token)

    status: Mapped[str] = mapped_column(Text, default=Status.PENDING)
    retry_count: Mapped[int] = mapped_column(default=0)
    # When the next step is due; while a worker has a claim on the row, the end of its lease.
    due_at: Mapped[Moment] = mapped_column(server_default=func.now())
    deadline_at: Mapped[Moment]
    # How often this attempt's next step was postponed since the last one that succeeded; not the user's retries.
    failures: Mapped[int] = mapped_column(default=0)
    # Waits for another generation of its organization to end, and is not due before that.
    is_parked: Mapped[bool] = mapped_column(default=False)
    # A fencing token: every claim on the row increments it, and every statement of a claim's holder names it.
    claim: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # Whether the last claim has not been handed over. If such a row is due, its lease ran out: the holder crashed or
    # sleeps, and may still write.
    is_leased: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    # How often a lease on this attempt's copy ran out. Each time, the outputs get longer names.
    lapses: Mapped[int] = mapped_column(default=0, server_default="0")
    # The secret part of this content's webhook URLs.
    webhook_nonce: Mapped[str] = mapped_column(Text, default=random_token)
    prediction_id: Mapped[str | None] = mapped_column(Text, unique=True)
    # What the vendor returned: {"output", "predict_time"}. Kept until the attempt ends, because the vendor forgets its
    # outputs after an hour.
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JSONB, deferred=True, deferred_raiseload=True)
    content_type: Mapped[str | None] = mapped_column(Text)
    output_url: Mapped[str | None] = mapped_column(Text)
    error_message: Mapped[str | None] = mapped_column(Text)
    credit_cost: Mapped[Credits | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    started_at: Mapped[Moment | None]
    completed_at: Mapped[Moment | None]


class AttemptEnding(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"


class GenerationAttempt(AttributionColumns, Base):
    """One attempt of a generation, from its request to its end. The row is never reused for another attempt."""

    __tablename__ = "attempts"
    __table_args__ = (
        # For ever: an attempt never gets the prediction of another one.
        UniqueConstraint("prediction_id"),
        # What has failed in the last day.
        Index("ix_attempts_failed", "ended_at", postgresql_where=text("ending = 'failed'")),
        CheckConstraint("number >= 0", name="number_not_negative"),
        CheckConstraint(one_of("ending", AttemptEnding), name="ending_known"),
        CheckConstraint("(ending IS NULL) = (ended_at IS NULL)", name="ended_somehow"),
        # The first attempt is requested in the moment in which its generation is.
        *(
            Index(
                name,
                "organization_id",
                column,
                text("created_at DESC"),
                text("generation_id DESC"),
                postgresql_where=text("number = 0"),
            )
            for name, column in (("ix_attempts_agent", "agent"), ("ix_attempts_key", "api_key_id"))
        ),
    )

    generation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("generations.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    prediction_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    # When its prediction was created.
    started_at: Mapped[Moment | None]
    # When the vendor was known to have finished it, and the copying could begin. Attempts that failed have none.
    finished_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    ending: Mapped[str | None] = mapped_column(Text)
    error_message: Mapped[str | None] = mapped_column(Text)
    # How often in a row the vendor did not know its prediction, and since when.
    missing_count: Mapped[int] = mapped_column(default=0, server_default="0")
    missing_since: Mapped[Moment | None]


class CreateResult(StrEnum):
    """What is known of a create call that has ended."""

    ACCEPTED = "accepted"  # the vendor made a prediction, and its id is known
    REFUSED = "refused"  # the vendor certainly made none
    LOST = "lost"  # the response never arrived: the vendor may have made one


class CreateCall(Base):
    """One call that asked the vendor for a prediction. The row is written before the call is sent."""

    __tablename__ = "create_calls"
    __table_args__ = (
        UniqueConstraint("prediction_id"),
        UniqueConstraint("generation_id", "attempt", "claim"),
        CheckConstraint(one_of("result", CreateResult), name="result_known"),
        CheckConstraint("(result IS NULL) = (ended_at IS NULL)", name="ended_with_result"),
        CheckConstraint(
            f"result <> '{CreateResult.ACCEPTED}' OR prediction_id IS NOT NULL", name="accepted_has_prediction"
        ),
        Index(
            "ix_create_calls_unresolved",
            "sent_at",
            postgresql_where=text(f"prediction_id IS NULL AND (result IS NULL OR result = '{CreateResult.LOST}')"),
        ),
        Index("ix_create_calls_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    generation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("generations.id"))
    attempt: Mapped[int]
    # The claim under which it was sent; negative if that is not known.
    claim: Mapped[int] = mapped_column(BigInteger)
    sent_at: Mapped[Moment] = mapped_column(server_default=func.clock_timestamp())
    ended_at: Mapped[Moment | None]
    result: Mapped[str | None] = mapped_column(Text)
    # Also of a lost call, once its prediction has been found.
    prediction_id: Mapped[str | None] = mapped_column(Text)
    # When the vendor is next searched for its prediction, or told to cancel the one that no attempt needs. Null if
    # nothing is left to do.
    due_at: Mapped[Moment | None]


class Output(Base):
    """One file of one attempt. The row is written before the bytes, so that every object in the store has a row.

    `position` 0 is the content's own file. Size and hash are null until the attempt is completed with the file.
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
    # How many leases of the attempt had run out when the path was reserved. Each such copy has paths of its own.
    lapses: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=0, server_default="0")
    storage_path: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str] = mapped_column(Text)
    media_type: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(Text)
