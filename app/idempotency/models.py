from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, Text, func
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Moment


class IdempotencyKey(Base):
    """That a request with this key runs, or the stored response to it. Only responses of success are stored."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        CheckConstraint("octet_length(request_hash) = 32", name="request_hash_is_sha256"),
        CheckConstraint("(lease_until IS NULL) = (response IS NOT NULL)", name="leased_or_stored"),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    route: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    # Whose run it is: one that lost its lease finds another's here.
    claim_id: Mapped[str] = mapped_column(Text)
    lease_until: Mapped[Moment | None]
    # As text, not as jsonb: a replayed response has its fields in the same order.
    response: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment] = mapped_column(index=True)
