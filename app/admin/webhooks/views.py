"""What the pages of webhooks say of endpoints, deliveries and tries: words and marks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from app.webhook_endpoints.models import TEST_EVENT, DeliveryState, DisabledReason, EventType
from app.webhook_endpoints.repository import Delivery, Endpoint

EVENT_WORDS: Final[Mapping[EventType, str]] = {
    EventType.CONTENT_COMPLETED: "A picture, video, sound or 3D model is ready",
    EventType.CONTENT_FAILED: "A generation has failed, at no cost",
    EventType.CREDITS_LOW: "Fewer credits are available than an alert of Usage says",
    EventType.RESPONSE_COMPLETED: "A response that is kept has ended",
    EventType.RESPONSE_INCOMPLETE: "A response that is kept was cut off",
}
DISABLED_WORDS: Final[Mapping[DisabledReason, str]] = {
    DisabledReason.ASKED: "Somebody has disabled it.",
    DisabledReason.GONE: "It has answered 410: there is no receiver any more.",
    DisabledReason.FAILING: "For five days every try had failed.",
}
STATE_CHOICES: Final = (
    ("", "Every state"),
    (DeliveryState.PENDING.value, "Waiting"),
    (DeliveryState.DELIVERED.value, "Delivered"),
    (DeliveryState.FAILED.value, "Failed"),
)
TYPES: Final = (*(each.value for each in EventType), TEST_EVENT)
TYPE_CHOICES: Final = (("", "Every event"), *((each, each) for each in TYPES))
OVERLAPS: Final = {"0": "Not at all, it ends now", "1": "1 hour", "24": "24 hours", "168": "7 days"}


@dataclass(frozen=True)
class Mark:
    """A state as a shape and a word."""

    kind: str
    word: str


def mark_of(endpoint: Endpoint) -> Mark:
    """How an endpoint is."""
    if endpoint.disabled_reason is DisabledReason.ASKED:
        return Mark("off", "Disabled")
    if endpoint.disabled_reason is not None:
        return Mark("bad", "Switched off")
    return Mark("look", "Failing") if endpoint.failing_since else Mark("ok", "Enabled")


def delivery_mark(delivery: Delivery) -> Mark:
    """How far a delivery is."""
    if delivery.state is DeliveryState.DELIVERED:
        return Mark("ok", "Delivered")
    if delivery.state is DeliveryState.FAILED:
        return Mark("bad", "Failed")
    return Mark("look", "Tried again") if delivery.tries else Mark("wait", "Waiting")


def result_of(delivery: Delivery) -> str:
    """What came of the last try, in few words."""
    if delivery.tries == 0:
        return "Not tried yet" if delivery.state is DeliveryState.PENDING else "Never tried"
    return delivery.last_reason or f"The receiver answered {delivery.last_status}"


def host_of(endpoint: Endpoint) -> str:
    """What is typed before an endpoint goes: the host that it leads to, with its port."""
    return urlsplit(endpoint.url).netloc
