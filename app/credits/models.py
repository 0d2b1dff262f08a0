from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Credits, Moment, one_of


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


class CreditHold(Base):
    """The most that one action may cost, held until it is settled or voided. That happens exactly once."""

    __tablename__ = "credit_holds"
    __table_args__ = (
        UniqueConstraint("reference"),
        CheckConstraint("amount >= 0", name="amount_not_negative"),
        CheckConstraint("amount < 'NaN'", name="is_number"),
        CheckConstraint(one_of("state", HoldState), name="state_known"),
        CheckConstraint(f"(state = '{HoldState.OPEN}') = (ended_at IS NULL)", name="ended_when_not_open"),
        CheckConstraint(f"(state = '{HoldState.SETTLED}') = (charged IS NOT NULL)", name="charged_when_settled"),
        CheckConstraint("charged >= 0 AND charged <= amount", name="charged_within_amount"),
        Index("ix_credit_holds_expiry", "expires_at", postgresql_where=text(f"state = '{HoldState.OPEN}'")),
        Index("ix_credit_holds_organization", "organization_id", postgresql_where=text(f"state = '{HoldState.OPEN}'")),
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


class LedgerEntry(Base):
    """One change of a balance. Entries are only ever added: a trigger refuses to change or delete them."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        UniqueConstraint("reference"),
        CheckConstraint(one_of("kind", EntryKind), name="kind_known"),
        CheckConstraint(f"kind <> '{EntryKind.CHARGE}' OR amount <= 0", name="charge_takes"),
        CheckConstraint(f"kind <> '{EntryKind.GRANT}' OR amount > 0", name="grant_gives"),
        CheckConstraint("amount < 'NaN' AND balance_after < 'NaN'", name="is_number"),
        Index("ix_ledger_entries_organization", "organization_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    kind: Mapped[str] = mapped_column(Text)
    reference: Mapped[str] = mapped_column(Text)
    amount: Mapped[Credits]
    balance_after: Mapped[Credits]
    is_estimated: Mapped[bool] = mapped_column(default=False)
    description: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
