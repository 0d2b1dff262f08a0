from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Numeric,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import AttributionColumns, Base, Credits, Moment, one_of
from app.credits.references import IS_REQUEST


class HoldState(StrEnum):
    """What has become of the credits that were held."""

    OPEN = "open"
    SETTLED = "settled"
    VOIDED = "voided"


class EntryKind(StrEnum):
    """Why a balance changed."""

    GRANT = "grant"
    CHARGE = "charge"
    ADJUSTMENT = "adjustment"


class EventKind(StrEnum):
    """What a metering event measures."""

    MODEL_CALL = "model_call"
    GENERATION = "generation"


class CreditAccount(Base):
    """The balance of an organization, and how much of it is held. The row is locked before any hold is touched."""

    __tablename__ = "credit_accounts"
    __table_args__ = (
        CheckConstraint("balance >= 0", name="balance_not_negative"),
        # For Postgres, NaN is larger than every number.
        CheckConstraint("balance < 'NaN' AND held < 'NaN'", name="is_number"),
        CheckConstraint("held >= 0 AND held <= balance", name="held_within_balance"),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    balance: Mapped[Credits] = mapped_column(default=0)
    held: Mapped[Credits] = mapped_column(default=0)


class CreditHold(AttributionColumns, Base):
    """The most that one action may cost, held until it is settled or voided. That happens exactly once.

    What is charged may exceed the amount: the excess is taken from what was available then.
    """

    __tablename__ = "credit_holds"
    __table_args__ = (
        UniqueConstraint("reference"),
        CheckConstraint("amount >= 0", name="amount_not_negative"),
        CheckConstraint("amount < 'NaN'", name="is_number"),
        CheckConstraint(one_of("state", HoldState), name="state_known"),
        CheckConstraint(f"(state = '{HoldState.OPEN}') = (ended_at IS NULL)", name="ended_when_not_open"),
        CheckConstraint(f"(state = '{HoldState.SETTLED}') = (charged IS NOT NULL)", name="charged_when_settled"),
        CheckConstraint("charged >= 0 AND charged < 'NaN'", name="charged_not_negative"),
        CheckConstraint("calls_opened >= 0", name="calls_opened_not_negative"),
        CheckConstraint("amount <= most AND charged <= most", name="within_most"),
        Index("ix_credit_holds_expiry", "expires_at", postgresql_where=text(f"state = '{HoldState.OPEN}'")),
        Index("ix_credit_holds_organization", "organization_id", postgresql_where=text(f"state = '{HoldState.OPEN}'")),
        # Along it those that have ended are pruned.
        Index("ix_credit_holds_ended", "organization_id", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        # From a request to what it has caused.
        Index(
            "ix_credit_holds_request",
            "organization_id",
            "request_id",
            postgresql_where=text("request_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    reference: Mapped[str] = mapped_column(Text)
    amount: Mapped[Credits]
    state: Mapped[str] = mapped_column(Text, default=HoldState.OPEN.value)
    charged: Mapped[Credits | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    # None: the hold ends only when the generation that it pays for ends.
    expires_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    # How many model calls may have been made. Those without a metering event were lost in a crash.
    calls_opened: Mapped[int] = mapped_column(default=0, server_default="0")
    # The hold of the run that has taken over this run's Idempotency-Key. Nothing of this hold is charged then.
    superseded_by: Mapped[str | None] = mapped_column(Text)
    # The most that may be held and charged, of what the request allows. None: it has set no limit.
    most: Mapped[Credits | None]


class MeteringEvent(AttributionColumns, Base):
    """What one model call or one generation used, and what it costs. Events are never changed.

    A hold is settled from its events. Its times are by the clock of Postgres. Events and ended holds are deleted
    together, long after their days are sealed: see `app.retention`.
    """

    __tablename__ = "metering_events"
    __table_args__ = (
        UniqueConstraint("call_id"),
        CheckConstraint(one_of("kind", EventKind), name="kind_known"),
        CheckConstraint("cost >= 0 AND cost < 'NaN'", name="cost_not_negative"),
        CheckConstraint(
            "prompt_tokens >= 0 AND completion_tokens >= 0 AND delivered_bytes >= 0 AND predict_time >= 0"
            " AND predict_time < 'Infinity' AND outputs >= 0",
            name="quantities_not_negative",
        ),
        Index("ix_metering_events_hold", "hold_reference"),
        Index("ix_metering_events_organization", "organization_id", "recorded_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    # The reference of the hold that it is settled from.
    hold_reference: Mapped[str] = mapped_column(Text)
    # Unique, so that an event which is written again after a lost reply is not counted twice.
    call_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    price_id: Mapped[int] = mapped_column(ForeignKey("prices.id"))
    prompt_tokens: Mapped[int | None] = mapped_column(BigInteger)
    completion_tokens: Mapped[int | None] = mapped_column(BigInteger)
    delivered_bytes: Mapped[int | None] = mapped_column(BigInteger)
    # Seconds.
    predict_time: Mapped[Decimal | None] = mapped_column(Numeric)
    outputs: Mapped[int | None]
    is_estimated: Mapped[bool] = mapped_column(default=False)
    cost: Mapped[Credits]
    began_at: Mapped[Moment | None]
    first_token_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    recorded_at: Mapped[Moment] = mapped_column(server_default=func.now())


class LedgerEntry(AttributionColumns, Base):
    """One change of a balance. Entries are only ever added: a trigger refuses to change or delete them."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        UniqueConstraint("reference"),
        CheckConstraint(one_of("kind", EntryKind), name="kind_known"),
        CheckConstraint(f"kind <> '{EntryKind.CHARGE}' OR amount <= 0", name="charge_takes"),
        CheckConstraint(f"kind <> '{EntryKind.GRANT}' OR amount > 0", name="grant_gives"),
        CheckConstraint("amount < 'NaN' AND balance_after < 'NaN'", name="is_number"),
        # It begins with the organization, so that no index leads past the entries of others.
        PrimaryKeyConstraint("organization_id", "id"),
        # Of each key's requests; those that were given back are taken off again.
        Index(
            "ix_ledger_entries_requests",
            "api_key_id",
            "created_at",
            postgresql_include=["kind"],
            postgresql_where=text(IS_REQUEST),
        ),
        # For the console: what one user has spent, what was no charge, and what a session has cost. Every charge pays
        # for the first and the last one: see docs/adr/0028-flat-lists.md.
        Index(
            "ix_ledger_entries_spender",
            "organization_id",
            "user_id",
            "id",
            postgresql_where=text("user_id IS NOT NULL"),
        ),
        Index(
            "ix_ledger_entries_uncharged",
            "organization_id",
            "id",
            postgresql_where=text(f"kind <> '{EntryKind.CHARGE}'"),
        ),
        Index(
            "ix_ledger_entries_session",
            "session_id",
            "created_at",
            "id",
            postgresql_where=text("session_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    kind: Mapped[str] = mapped_column(Text)
    reference: Mapped[str] = mapped_column(Text)
    amount: Mapped[Credits]
    balance_after: Mapped[Credits]
    is_estimated: Mapped[bool] = mapped_column(default=False)
    description: Mapped[str] = mapped_column(Text, default="")
    # Of a charge: for each price [{"price_id", "calls", "prompt_tokens", …, "cost"}], the sums of its metering events.
    quantities: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())


class SpendDay(Base):
    """What an organization has spent in one day (UTC) with one key, user, agent and model. Empty: none of them.

    It is derived from the ledger up to the entry that `SpendMark` names, and can be computed again from there.
    """

    __tablename__ = "spend_days"
    # What all organizations have spent since a day.
    __table_args__ = (Index("ix_spend_days_day", "day", "model"),)

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    api_key_id: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    agent: Mapped[str] = mapped_column(Text, primary_key=True)
    model: Mapped[str] = mapped_column(Text, primary_key=True)
    amount: Mapped[Credits]
    # Entries, each counted once: with the model of its first call.
    charges: Mapped[int] = mapped_column(BigInteger)
    calls: Mapped[int] = mapped_column(BigInteger)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    completion_tokens: Mapped[int] = mapped_column(BigInteger)
    # Seconds.
    predict_time: Mapped[Decimal] = mapped_column(Numeric)
    outputs: Mapped[int] = mapped_column(BigInteger)


class SpendMark(Base):
    """Up to which entry of the ledger an organization's days are summed up."""

    __tablename__ = "spend_marks"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    entry_id: Mapped[int] = mapped_column(BigInteger)


class KeySpend(Base):
    """What a key holds, and has spent in a month. There is a row for each key that has had a limit.

    Triggers keep it, with the account locked, and count anew whenever the limit changes.
    """

    __tablename__ = "key_spend"
    __table_args__ = (CheckConstraint("held >= 0 AND held < 'NaN' AND spent < 'NaN'", name="held_not_negative"),)

    api_key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    held: Mapped[Credits]
    # The first day of the month, in UTC, of the last charge.
    month: Mapped[date]
    spent: Mapped[Credits]


class CreditAlert(Base):
    """An amount of available credits below which the organization's owners and admins are told."""

    __tablename__ = "credit_alerts"
    __table_args__ = (
        UniqueConstraint("organization_id", "threshold"),
        CheckConstraint("threshold > 0 AND threshold < 'NaN'", name="threshold_positive"),
        CheckConstraint("(raised_at IS NULL) = (raised_balance IS NULL)", name="raised_with_balance"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    threshold: Mapped[Credits]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    # Since when they know that less is available, and what the balance was then. None: they were not told.
    raised_at: Mapped[Moment | None]
    raised_balance: Mapped[Credits | None]
