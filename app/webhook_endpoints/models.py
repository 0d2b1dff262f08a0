import uuid
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.core.crypto import new_id
from app.core.database import Base, Moment, one_of


class EventType(StrEnum):
    """What an organization can be told of, in the order of the documentation."""

    CONTENT_COMPLETED = "content.completed"
    CONTENT_FAILED = "content.failed"
    CREDITS_LOW = "credits.low"
    RESPONSE_COMPLETED = "response.completed"
    RESPONSE_INCOMPLETE = "response.incomplete"
    RESPONSE_FAILED = "response.failed"


# Only sent when somebody asks for it, and to one endpoint.
TEST_EVENT = "webhook.test"


class DeliveryState(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"  # is sent, or waits for its next try
    DELIVERED = "delivered"  # the receiver has answered 2xx
    FAILED = "failed"  # given up; it can be sent again


class DisabledReason(StrEnum):
    """Why nothing is sent to an endpoint."""

    ASKED = "asked"  # somebody has switched it off
    GONE = "gone"  # it has answered 410
    FAILING = "failing"  # every try of several days has failed


class WebhookEndpoint(Base):
    """Where an organization wants to be told of some of the things that happen to it.

    Of one that was deleted the row stays for as long as its deliveries do, without its secrets.
    """

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        CheckConstraint("(disabled_at IS NULL) = (disabled_reason IS NULL)", name="disabled_for_a_reason"),
        CheckConstraint(one_of("disabled_reason", DisabledReason), name="disabled_reason_known"),
        CheckConstraint("(former_secret IS NULL) = (former_until IS NULL)", name="former_until_an_end"),
        CheckConstraint("(secret IS NULL) = (deleted_at IS NOT NULL)", name="secret_until_deleted"),
        Index("ix_webhook_endpoints_organization", "organization_id", postgresql_where=text("deleted_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=lambda: new_id("whe"))
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, default="", server_default="")
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # Sealed, as is the one before it while both sign.
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    former_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    former_until: Mapped[Moment | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    # Since when every try has failed; null if the last one did not.
    failing_since: Mapped[Moment | None]
    disabled_at: Mapped[Moment | None]
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    deleted_at: Mapped[Moment | None]


class WebhookEvent(Base):
    """Something that has happened, written in the transaction that made it happen. Its body is what is sent, always."""

    __tablename__ = "webhook_events"
    __table_args__ = (Index("ix_webhook_events_created", "created_at"),)

    # The header `webhook-id` of every try.
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    type: Mapped[str] = mapped_column(Text)
    # The id of what it happened to.
    subject: Mapped[str | None] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())


class WebhookDelivery(Base):
    """An event on its way to one endpoint. While it is pending, the row is its place in the queue."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint(one_of("state", DeliveryState), name="state_known"),
        CheckConstraint("(state = 'pending') = (ended_at IS NULL)", name="ended_or_pending"),
        CheckConstraint("state = 'pending' OR NOT is_sending", name="sent_while_pending"),
        Index("ix_webhook_deliveries_event", "event_id"),
        Index("ix_webhook_deliveries_due", "due_at", postgresql_where=text("state = 'pending'")),
        Index("ix_webhook_deliveries_waiting", "endpoint_id", "due_at", postgresql_where=text("state = 'pending'")),
        # By what lists are filtered.
        *(
            Index(f"ix_webhook_deliveries_{name}", *columns, text("created_at DESC"), text("id DESC"))
            for name, columns in {
                "listing": ("organization_id",),
                "endpoint": ("endpoint_id",),
                "state": ("organization_id", "state"),
                "type": ("organization_id", "event_type"),
            }.items()
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id"))
    event_id: Mapped[str] = mapped_column(ForeignKey("webhook_events.id", ondelete="CASCADE"))
    event_type: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default=DeliveryState.PENDING, server_default=DeliveryState.PENDING)
    # When the next try is due; while a worker makes one, the end of its lease.
    due_at: Mapped[Moment] = mapped_column(server_default=func.now())
    # A fencing token: every claim increments it, and every statement of a claim's holder names it.
    claim: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    is_sending: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    # Tries that have failed since it was last asked to be sent.
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    # All tries whose end is known.
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    ended_at: Mapped[Moment | None]


class WebhookTry(Base):
    """One try of a delivery whose end is known: what came back, or why nothing did."""

    __tablename__ = "webhook_tries"

    delivery_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    began_at: Mapped[Moment]
    duration_ms: Mapped[int]
    status: Mapped[int | None]
    reason: Mapped[str | None] = mapped_column(Text)
    # The beginning of the response's body.
    response: Mapped[str | None] = mapped_column(Text)
