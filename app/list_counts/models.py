from enum import StrEnum

from sqlalchemy import BigInteger, Identity, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base


class CountedList(StrEnum):
    """What is counted: the contents of an organization, and the sessions of each of its users."""

    CONTENT = "content"
    SESSIONS = "sessions"


class ListCount(Base):
    """How many rows of a list there are, but for the changes that have not been added yet.

    Contents are told apart by status and type, sessions by user; a column is empty for what a list is not told apart
    by, and for contents without a type. Nothing refers to another table: these rows follow from those that do.
    """

    __tablename__ = "list_counts"

    organization_id: Mapped[str] = mapped_column(Text, primary_key=True)
    list: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    status: Mapped[str] = mapped_column(Text, primary_key=True)
    content_type: Mapped[str] = mapped_column(Text, primary_key=True)
    # Below 0 for a moment, if a later change was added before an earlier one.
    total: Mapped[int] = mapped_column(BigInteger)


class ListCountChange(Base):
    """A change of a count, inserted by a trigger in the transaction that makes it, and deleted once it is added."""

    __tablename__ = "list_count_changes"

    organization_id: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    list: Mapped[str] = mapped_column(Text)
    user_id: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str] = mapped_column(Text)
    change: Mapped[int] = mapped_column(BigInteger)
