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
from sqlalchemy.orm import Mapped, mapped_column

from app.core.crypto import new_id
from app.core.database import Base, Moment, one_of
from app.organizations.models import MembershipRole


class ConsoleSession(Base):
    """A browser that is signed in to the console. Its token is never stored, only the token's SHA-256.

    A row is kept for a while after the session's end: it tells which browsers a user has signed in with before.
    """

    __tablename__ = "console_sessions"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        CheckConstraint("octet_length(token_hash) = 32", name="token_hash_is_sha256"),
        CheckConstraint("octet_length(device_hash) = 32", name="device_hash_is_sha256"),
        Index("ix_console_sessions_user_id_device_hash", "user_id", "device_hash"),
        Index("ix_console_sessions_listing", "user_id", text("last_seen_at DESC")),
        Index("ix_console_sessions_created_at", "created_at"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=lambda: new_id("signin"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    device_hash: Mapped[bytes] = mapped_column(LargeBinary)
    # The organization that the session's pages show; None: the first one that the user is a member of.
    organization_id: Mapped[str | None] = mapped_column(ForeignKey("organizations.id"))
    address: Mapped[str] = mapped_column(Text)
    user_agent: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    # Written once a minute at most.
    last_seen_at: Mapped[Moment] = mapped_column(server_default=func.now())
    ended_at: Mapped[Moment | None]


class SignInAttempt(Base):
    """One attempt to sign in. By them later attempts are slowed down."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = (
        Index("ix_sign_in_attempts_email_hash_at", "email_hash", "at"),
        Index("ix_sign_in_attempts_address_at", "address", "at"),
        Index("ix_sign_in_attempts_at", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    # What was typed may be anything, even a password in the wrong field.
    email_hash: Mapped[bytes] = mapped_column(LargeBinary)
    address: Mapped[str] = mapped_column(Text)
    device_hash: Mapped[bytes] = mapped_column(LargeBinary)
    has_succeeded: Mapped[bool]
    at: Mapped[Moment] = mapped_column(server_default=func.now())


class OneTimeLink(Base):
    """A link by which a user sets a password, once. Its token is never stored, only the token's SHA-256."""

    __tablename__ = "one_time_links"
    __table_args__ = (CheckConstraint("octet_length(token_hash) = 32", name="token_hash_is_sha256"),)

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]


class Invitation(Base):
    """Asks somebody to become a member. Its token is never stored, only the token's SHA-256."""

    __tablename__ = "invitations"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        CheckConstraint(one_of("role", MembershipRole), name="role_known"),
        CheckConstraint("octet_length(token_hash) = 32", name="token_hash_is_sha256"),
        Index(
            "uq_invitations_open",
            "organization_id",
            text("lower(email)"),
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND withdrawn_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=lambda: new_id("invitation"))
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    email: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    invited_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment]
    accepted_at: Mapped[Moment | None]
    withdrawn_at: Mapped[Moment | None]
