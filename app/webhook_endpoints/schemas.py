import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.core.clock import Seconds
from app.webhook_endpoints.models import DeliveryState, DisabledReason, EventType
from app.webhook_endpoints.receivers import LONGEST_URL
from app.webhook_endpoints.repository import Delivery, Endpoint, Try
from app.webhook_endpoints.service import DEFAULT_OVERLAP, LONGEST_DESCRIPTION, LONGEST_OVERLAP, WholeDelivery

_HOUR = timedelta(hours=1)
_Url = Annotated[str, Field(max_length=LONGEST_URL, description="Where events are sent: https, without a password")]
_Events = Annotated[list[EventType], Field(min_length=1, max_length=len(EventType))]
_Description = Annotated[str, Field(max_length=LONGEST_DESCRIPTION)]


def _whole(number: Any) -> Any:
    """In JSON, 24.0 is a whole number, too."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


class WebhookEndpointRequest(BaseModel):
    """A new endpoint."""

    model_config = ConfigDict(extra="forbid")

    url: _Url
    events: _Events
    description: _Description = ""


class WebhookEndpointChange(BaseModel):
    """What is to change of an endpoint. What is left out stays."""

    model_config = ConfigDict(extra="forbid")

    url: _Url | None = None
    events: _Events | None = None
    description: _Description | None = None
    enabled: Annotated[bool, Field(strict=True)] | None = None


class WebhookRotationRequest(BaseModel):
    """For how many hours the former secret signs as well."""

    model_config = ConfigDict(extra="forbid")

    overlap_hours: Annotated[int, BeforeValidator(_whole)] = Field(
        default=DEFAULT_OVERLAP // _HOUR, ge=0, le=LONGEST_OVERLAP // _HOUR, strict=True
    )

    @property
    def overlap(self) -> timedelta:
        return self.overlap_hours * _HOUR


class WebhookEndpointRead(BaseModel):
    """Where an organization wants to be told of events.

    `disabled_reason` says why nothing is sent; `failing_since`, since when no try has succeeded; `former_secret_until`,
    until when the secret before this one signs as well.
    """

    id: str
    url: str
    description: str
    events: list[EventType]
    enabled: bool
    disabled_reason: DisabledReason | None
    disabled_at: Seconds | None
    failing_since: Seconds | None
    former_secret_until: Seconds | None
    created_at: Seconds

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """The endpoint as the API shows it."""
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            description=endpoint.description,
            events=list(endpoint.events),
            enabled=endpoint.disabled_at is None,
            disabled_reason=endpoint.disabled_reason,
            disabled_at=endpoint.disabled_at,
            failing_since=endpoint.failing_since,
            former_secret_until=endpoint.former_until,
            created_at=endpoint.created_at,
        )


class WebhookEndpointWithSecret(WebhookEndpointRead):
    """An endpoint with a new secret, which is never shown again: not to a repeated request either, which gets null."""

    secret: str | None


class WebhookEndpointList(BaseModel):
    """All endpoints, the oldest first."""

    endpoints: list[WebhookEndpointRead]
    total: int

    @classmethod
    def of(cls, endpoints: Sequence[Endpoint]) -> Self:
        """The list as the API shows it."""
        return cls(endpoints=[WebhookEndpointRead.of(each) for each in endpoints], total=len(endpoints))


class WebhookEndpointDeleted(BaseModel):
    """Confirms that an endpoint was deleted."""

    id: str
    deleted: bool = True


class WebhookDeliveryRead(BaseModel):
    """An event on its way to an endpoint. `event_id` is the header `webhook-id` of every try."""

    id: uuid.UUID
    endpoint_id: str
    event_id: str
    event_type: str
    subject: str | None
    state: DeliveryState
    tries: int
    last_status: int | None
    last_error: str | None
    next_try_at: Seconds | None
    created_at: Seconds
    ended_at: Seconds | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """The delivery as a list shows it."""
        return cls(**_delivery(delivery))


class WebhookDeliveryPage(BaseModel):
    """A page of deliveries, newest first. The next one is asked for with the last one's id as `after`."""

    deliveries: list[WebhookDeliveryRead]
    has_more: bool

    @classmethod
    def of(cls, deliveries: Sequence[Delivery], limit: int) -> Self:
        """The page of the first `limit` of them."""
        shown = [WebhookDeliveryRead.of(each) for each in deliveries[:limit]]
        return cls(deliveries=shown, has_more=len(deliveries) > limit)


class WebhookTryRead(BaseModel):
    """One try: what came back, or why nothing did. `response` is the beginning of the body that came back."""

    number: int
    began_at: Seconds
    duration_ms: int
    status: int | None
    error: str | None
    response: str | None

    @classmethod
    def of(cls, tried: Try) -> Self:
        """The try as the API shows it."""
        return cls(
            number=tried.number,
            began_at=tried.began_at,
            duration_ms=tried.duration_ms,
            status=tried.status,
            error=tried.reason,
            response=tried.response,
        )


class WebhookDeliveryDetail(WebhookDeliveryRead):
    """A delivery with what it sends, and its last tries, the newest first."""

    body: dict[str, Any]
    last_tries: list[WebhookTryRead]

    @classmethod
    def of_whole(cls, whole: WholeDelivery) -> Self:
        """The delivery in full."""
        tries = [WebhookTryRead.of(each) for each in whole.tries]
        return cls(**_delivery(whole.delivery), body=orjson.loads(whole.body), last_tries=tries)


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "endpoint_id": delivery.endpoint_id,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "subject": delivery.subject,
        "state": delivery.state,
        "tries": delivery.tries,
        "last_status": delivery.last_status,
        "last_error": delivery.last_reason,
        "next_try_at": delivery.next_try_at,
        "created_at": delivery.created_at,
        "ended_at": delivery.ended_at,
    }
