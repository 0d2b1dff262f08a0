from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, Text, func
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Moment


class _KeyColumns:
    """A key that a running request has claimed, or the stored response of a request that has succeeded."""

    __table_args__ = (
        CheckConstraint("octet_length(request_hash) = 32", name="request_hash_is_sha256"),
        CheckConstraint("(lease_until IS NULL) = (response IS NOT NULL)", name="leased_or_stored"),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    route: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    # A fencing token: whoever takes over an expired claim writes its own.
    claim_id: Mapped[str] = mapped_column(Text)
    # The credit hold of the run that has the claim, and that of the run before, whose claim it has taken over.
    hold_reference: Mapped[str | None] = mapped_column(Text)
    former_hold_reference: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[Moment | None]
    # `json` and not `jsonb`: a replayed response has its fields in their original order.
    response: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment] = mapped_column(index=True)


class UserIdempotencyKey(_KeyColumns, Base):
    """A key of a user."""

    __tablename__ = "user_idempotency_keys"

    # The last part of the primary key, so that it finds all users of a key.
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, sort_order=1)


class IdempotencyKey(_KeyColumns, Base):
    """A key of an organization, for processes of the version before; see `older_version`."""

    __tablename__ = "idempotency_keys"
