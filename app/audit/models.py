from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.audit.actor import ActorKind
from app.core.database import Base, Moment, one_of


class AuditEvent(Base):
    """One administrative change. Rows are only ever added; a trigger refuses anything else.

    They refer to no other table, because they outlive what they name.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        CheckConstraint(one_of("actor_kind", ActorKind), name="actor_kind_known"),
        Index("ix_audit_events_at", "at", "id"),
        Index("ix_audit_events_organization", "organization_id", "at", "id"),
        Index("ix_audit_events_organization_event", "organization_id", "event", "at", "id"),
        Index("ix_audit_events_event", "event", "at", "id"),
        Index("ix_audit_events_actor", "actor_id", "at", "id"),
        Index("ix_audit_events_object", "object_id", "at", "id"),
        Index("ix_audit_events_name", "object_name", "at", "id"),
        Index("ix_audit_events_request", "request_id", "at", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[Moment] = mapped_column(server_default=func.now())
    actor_kind: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[str | None] = mapped_column(Text)
    # None for what belongs to none, such as a plan.
    organization_id: Mapped[str | None] = mapped_column(Text)
    event: Mapped[str] = mapped_column(Text)
    object_id: Mapped[str | None] = mapped_column(Text)
    # What it was called then.
    object_name: Mapped[str | None] = mapped_column(Text)
    # What changed, by name; None if there was, or is, nothing.
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # The address of a client, or the user and the machine of a command; None for the server itself.
    source: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
