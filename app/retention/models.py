from datetime import date
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Numeric, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Moment, one_of


class Kind(StrEnum):
    """What is pruned."""

    IDEMPOTENCY_KEYS = "idempotency_keys"
    # With their messages. What they have generated stays.
    SESSIONS = "sessions"
    # Metering events, each together with the ended hold that was settled from it.
    METERING = "metering"
    # Events that organizations were told of, with their deliveries.
    WEBHOOKS = "webhooks"
    # Files that clients have sent for generations which cannot need them any more.
    INPUT_FILES = "input_files"


class SealedDay(Base):
    """What the ledger's charges of one day (UTC) come to, once each of them was computed again from its events."""

    __tablename__ = "sealed_days"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    charges: Mapped[int] = mapped_column(BigInteger)
    charged: Mapped[Decimal] = mapped_column(Numeric)


class SealedSum(Base):
    """What the metering events come to that a sealed day's charges were made from, for each price and so each model.

    They stand for the events once those are deleted.
    """

    __tablename__ = "sealed_sums"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    price_id: Mapped[int] = mapped_column(ForeignKey("prices.id"), primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    prompt_tokens: Mapped[Decimal] = mapped_column(Numeric)
    completion_tokens: Mapped[Decimal] = mapped_column(Numeric)
    # Seconds.
    predict_time: Mapped[Decimal] = mapped_column(Numeric)
    outputs: Mapped[Decimal] = mapped_column(Numeric)
    cost: Mapped[Decimal] = mapped_column(Numeric)


class SealMark(Base):
    """How far an organization's ledger is sealed, and how far its events and ended holds are deleted."""

    __tablename__ = "seal_marks"
    __table_args__ = (
        CheckConstraint("pruned_before IS NULL OR pruned_before <= sealed_before", name="pruned_if_sealed"),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    # Up to this entry the ledger is sealed; it has no entry of before `sealed_before` that is not.
    entry_id: Mapped[int] = mapped_column(BigInteger)
    sealed_before: Mapped[Moment | None]
    # What has ended before may be gone. Written before anything goes.
    pruned_before: Mapped[Moment | None]
    pruned_holds: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    pruned_events: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # Of the deleted holds: calls that were opened and left no event.
    lost_calls: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # Why the next entries cannot be sealed.
    fault: Mapped[str | None] = mapped_column(Text)


class RetentionRun(Base):
    """When rows of a kind were pruned last, and when they are again. One process at a time has the lease."""

    __tablename__ = "retention_runs"
    __table_args__ = (CheckConstraint(one_of("kind", Kind), name="kind_known"),)

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    due_at: Mapped[Moment] = mapped_column(server_default=func.now())
    lease_until: Mapped[Moment | None]
    began_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    # Rows that the last run has removed so far, without those that went with them.
    removed: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
