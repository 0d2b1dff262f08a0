from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.api_keys.key_request import MOST_PER_HOUR, MOST_PER_MINUTE
from app.core.crypto import new_id
from app.core.database import Base, Moment


class ApiKey(Base):
    """A key of an organization. The key itself is never stored, only its SHA-256 and the prefix that is shown."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index("uq_api_keys_key_hash", "key_hash", unique=True),
        CheckConstraint("octet_length(key_hash) = 32", name="key_hash_is_sha256"),
        CheckConstraint("cardinality(scopes) > 0", name="scopes_not_empty"),
        CheckConstraint(f"requests_per_minute BETWEEN 1 AND {MOST_PER_MINUTE}", name="requests_per_minute_range"),
        CheckConstraint(f"requests_per_hour BETWEEN 1 AND {MOST_PER_HOUR}", name="requests_per_hour_range"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=lambda: new_id("key"))
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), index=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    requests_per_minute: Mapped[int | None]
    requests_per_hour: Mapped[int | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment | None]
    revoked_at: Mapped[Moment | None]
    # The key that replaced this one by rotation. This one works until `revoked_at`, the end of the overlap.
    rotated_to: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))
    last_used_at: Mapped[Moment | None]
