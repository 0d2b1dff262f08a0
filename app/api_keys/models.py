from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.api_keys.key_request import LONGEST_DESCRIPTION, MOST_PER_HOUR, MOST_PER_MINUTE
from app.core.crypto import new_id
from app.core.database import Base, Credits, Moment


class ApiKey(Base):
    """A key of an organization. The key itself is never stored, only its SHA-256 and the prefix that is shown."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index("uq_api_keys_key_hash", "key_hash", unique=True),
        CheckConstraint("octet_length(key_hash) = 32", name="key_hash_is_sha256"),
        CheckConstraint("cardinality(scopes) > 0", name="scopes_not_empty"),
        CheckConstraint(f"requests_per_minute BETWEEN 1 AND {MOST_PER_MINUTE}", name="requests_per_minute_range"),
        CheckConstraint(f"requests_per_hour BETWEEN 1 AND {MOST_PER_HOUR}", name="requests_per_hour_range"),
        CheckConstraint(f"char_length(description) <= {LONGEST_DESCRIPTION}", name="description_length"),
        CheckConstraint("monthly_credits > 0 AND monthly_credits < 'NaN'", name="monthly_credits_positive"),
        Index("ix_api_keys_newest", "organization_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=lambda: new_id("key"))
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), index=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, default="", server_default=text("''"))
    prefix: Mapped[str] = mapped_column(Text)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    requests_per_minute: Mapped[int | None]
    requests_per_hour: Mapped[int | None]
    # The most that it may spend in a month in UTC. Triggers count what it spends: see `KeySpend`.
    monthly_credits: Mapped[Credits | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment | None]
    revoked_at: Mapped[Moment | None]
    # The key that replaced this one by rotation. This one works until `revoked_at`, the end of the overlap.
    rotated_to: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))
    last_used_at: Mapped[Moment | None]


class UnshownKey(Base):
    """A new key between its creation and the page that shows it once. The row is deleted when that page is opened.

    What decrypts it is stored nowhere; `token_hash` is only how its row is found.
    """

    __tablename__ = "unshown_api_keys"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        CheckConstraint("octet_length(token_hash) = 32", name="token_hash_is_sha256"),
        Index("ix_unshown_api_keys_expires_at", "expires_at"),
    )

    api_key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    # The user who created the key, and the only one who is shown it.
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[Moment]
