from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Moment


class OutgoingMail(Base):
    """A mail to one address, written in the transaction of what it tells about and sent by a worker afterwards.

    It is kept for a while after it has been sent, or given up.
    """

    __tablename__ = "outgoing_mails"
    __table_args__ = (
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        CheckConstraint("sent_at IS NULL OR given_up_at IS NULL", name="sent_or_given_up"),
        Index("ix_outgoing_mails_due", "due_at", postgresql_where=text("sent_at IS NULL AND given_up_at IS NULL")),
        Index("ix_outgoing_mails_created", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    recipient: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    # The next try is due then. While a worker sends the mail, that is when others may take it over.
    due_at: Mapped[Moment] = mapped_column(server_default=func.now())
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    sent_at: Mapped[Moment | None]
    given_up_at: Mapped[Moment | None]
    last_error: Mapped[str | None] = mapped_column(Text)
