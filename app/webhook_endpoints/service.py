"""Where organizations want to be told of what happens, and what has become of what they were told."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from app.audit.actor import Actor
from app.audit.service import log_change
from app.core.crypto import new_id
from app.core.database import Transaction
from app.core.errors import InvalidRequestError
from app.core.secret_keys import SecretKeys
from app.core.settings import Settings
from app.webhook_endpoints import endpoint_secrets, outbox, repository
from app.webhook_endpoints.errors import (
    WebhookDeliveryNotFoundError,
    WebhookEndpointDisabledError,
    WebhookEndpointNotFoundError,
)
from app.webhook_endpoints.models import EventType
from app.webhook_endpoints.receivers import Receivers
from app.webhook_endpoints.repository import Delivery, DeliveryFilter, Endpoint, Try

MOST_ENDPOINTS: Final = 10
LONGEST_DESCRIPTION: Final = 300
DEFAULT_OVERLAP: Final = timedelta(hours=24)
LONGEST_OVERLAP: Final = timedelta(days=7)
# A delivery that is sent again and again has more; the newest say what is wrong.
_MOST_TRIES: Final = 50


@dataclass(frozen=True)
class Setup:
    """What endpoints are made with: the keys that seal their secrets, and which receivers there may be."""

    keys: SecretKeys
    receivers: Receivers

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """That of the settings."""
        return cls(SecretKeys.of(settings), Receivers.of(settings.webhook_private_receivers))


@dataclass(frozen=True)
class EndpointChanges:
    """What is to change of an endpoint. None: it stays."""

    url: str | None = None
    description: str | None = None
    events: Sequence[str] | None = None
    is_enabled: bool | None = None


@dataclass(frozen=True)
class NewSecret:
    """An endpoint and its new secret, which cannot be shown again."""

    endpoint: Endpoint
    secret: str


@dataclass(frozen=True)
class WholeDelivery:
    """A delivery, what it sends, and its last tries, the newest first."""

    delivery: Delivery
    body: str
    tries: Sequence[Try]


async def create_endpoint(
    tx: Transaction,
    organization_id: str,
    setup: Setup,
    *,
    url: str,
    events: Sequence[str],
    description: str = "",
    actor: Actor,
) -> NewSecret:
    """Add an endpoint.

    Raises:
        InvalidRequestError: the URL, an event or the description is not allowed, or there are as many endpoints as
            there may be.
        SecretKeyMissingError: secrets cannot be kept.
    """
    url, kinds = setup.receivers.check_url(url.strip()), _events(events)
    description = _description(description)
    endpoint_id, secret = new_id("whe"), endpoint_secrets.new_secret()
    sealed = endpoint_secrets.seal_secret(setup.keys, endpoint_id, secret)
    await repository.lock_organization(tx, organization_id)
    if len(await repository.list_endpoints(tx, organization_id)) >= MOST_ENDPOINTS:
        raise InvalidRequestError(f"There are {MOST_ENDPOINTS} webhook endpoints already, as many as there may be")
    endpoint = await repository.add(
        tx, organization_id, endpoint_id, url=url, description=description, events=kinds, secret=sealed
    )
    _log(tx, actor, "webhook_endpoint_created", endpoint, after=_logged(endpoint))
    return NewSecret(endpoint, secret)


async def list_endpoints(tx: Transaction, organization_id: str) -> Sequence[Endpoint]:
    """The organization's endpoints, the oldest first."""
    return await repository.list_endpoints(tx, organization_id)


async def get_endpoint(tx: Transaction, organization_id: str, endpoint_id: str) -> Endpoint:
    """One endpoint of the organization.

    Raises:
        WebhookEndpointNotFoundError: it has no such endpoint.
    """
    return _found(await repository.find(tx, organization_id, _stored(endpoint_id)))


async def get_sealed_secret(tx: Transaction, organization_id: str, endpoint_id: str) -> bytes:
    """The secret of an endpoint as it is stored; `endpoint_secrets.SECRET` opens it.

    Raises:
        WebhookEndpointNotFoundError: the organization has no such endpoint.
    """
    sealed = await repository.find_secret(tx, organization_id, _stored(endpoint_id))
    if sealed is None:
        raise WebhookEndpointNotFoundError
    return sealed


async def change_endpoint(
    tx: Transaction, organization_id: str, endpoint_id: str, setup: Setup, changes: EndpointChanges, *, actor: Actor
) -> Endpoint:
    """Change an endpoint. Deliveries that wait go to its new URL; once it is disabled, they are given up.

    Raises:
        WebhookEndpointNotFoundError, InvalidRequestError: as for those that are created.
    """
    before = await _lock(tx, organization_id, endpoint_id)
    after = _found(
        await repository.change(
            tx,
            before,
            url=before.url if changes.url is None else setup.receivers.check_url(changes.url.strip()),
            description=before.description if changes.description is None else _description(changes.description),
            events=before.events if changes.events is None else _events(changes.events),
        )
    )
    if _logged(before) != _logged(after):
        _log(tx, actor, "webhook_endpoint_changed", after, before=_logged(before), after=_logged(after))
    if changes.is_enabled is None or changes.is_enabled is (before.disabled_at is None):
        return after
    event = "webhook_endpoint_enabled" if changes.is_enabled else "webhook_endpoint_disabled"
    _log(tx, actor, event, after, after={"name": after.url})
    return _found(await repository.switch(tx, after, is_on=changes.is_enabled))


async def delete_endpoint(tx: Transaction, organization_id: str, endpoint_id: str, *, actor: Actor) -> None:
    """Delete an endpoint with its secrets. What waits for it is given up.

    Raises:
        WebhookEndpointNotFoundError: the organization has no such endpoint.
    """
    endpoint = await _lock(tx, organization_id, endpoint_id)
    await repository.delete(tx, endpoint)
    _log(tx, actor, "webhook_endpoint_deleted", endpoint, before=_logged(endpoint), after={"deleted": True})


async def rotate_secret(
    tx: Transaction,
    organization_id: str,
    endpoint_id: str,
    setup: Setup,
    *,
    overlap: timedelta = DEFAULT_OVERLAP,
    actor: Actor,
) -> NewSecret:
    """Give an endpoint a new secret. The one that it replaces signs as well until the overlap ends; an older one ends.

    Raises:
        WebhookEndpointNotFoundError: the organization has no such endpoint.
        InvalidRequestError: the overlap is negative or longer than `LONGEST_OVERLAP`.
        SecretKeyMissingError: secrets cannot be kept.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        most = LONGEST_OVERLAP // timedelta(hours=1)
        raise InvalidRequestError(f"The overlap must be 0 to {most} hours", param="overlap_hours")
    endpoint = await _lock(tx, organization_id, endpoint_id)
    secret = endpoint_secrets.new_secret()
    sealed = endpoint_secrets.seal_secret(setup.keys, endpoint.id, secret)
    current = await repository.find_secret(tx, organization_id, endpoint.id)
    former = endpoint_secrets.as_former(setup.keys, endpoint.id, current) if current and overlap else None
    rotated = _found(await repository.rotate(tx, endpoint, sealed, former, overlap))
    _log(tx, actor, "webhook_secret_rotated", rotated, after={"name": rotated.url})
    return NewSecret(rotated, secret)


async def send_test(tx: Transaction, organization_id: str, endpoint_id: str) -> Delivery:
    """Send an event of the type `webhook.test` to an endpoint.

    Raises:
        WebhookEndpointNotFoundError: the organization has no such endpoint.
        WebhookEndpointDisabledError: it is disabled.
    """
    endpoint = await _lock(tx, organization_id, endpoint_id)
    delivery_id = await outbox.write_test(tx, organization_id, endpoint.id)
    if delivery_id is None:
        raise WebhookEndpointDisabledError
    return await get_delivery(tx, organization_id, delivery_id)


async def list_deliveries(
    tx: Transaction, wanted: DeliveryFilter, *, after: tuple[datetime, uuid.UUID] | None, limit: int
) -> Sequence[Delivery]:
    """Deliveries that the filter selects, the newest first, after a position in that order."""
    return await repository.list_deliveries(tx, wanted, after=after, limit=limit)


async def list_deliveries_after(
    tx: Transaction, wanted: DeliveryFilter, after: uuid.UUID | None, limit: int
) -> Sequence[Delivery]:
    """As `list_deliveries`, after a delivery of the organization.

    Raises:
        InvalidRequestError: it has no such delivery.
    """
    if after is None:
        return await list_deliveries(tx, wanted, after=None, limit=limit)
    last = await repository.find_delivery(tx, wanted.organization_id, after)
    if last is None:
        raise InvalidRequestError("There is no such delivery", param="after")
    return await list_deliveries(tx, wanted, after=(last.created_at, last.id), limit=limit)


async def get_delivery(tx: Transaction, organization_id: str, delivery_id: str) -> Delivery:
    """One delivery of the organization.

    Raises:
        WebhookDeliveryNotFoundError: it has no such delivery.
    """
    delivery = await repository.find_delivery(tx, organization_id, _parsed(delivery_id))
    if delivery is None:
        raise WebhookDeliveryNotFoundError
    return delivery


async def get_whole_delivery(tx: Transaction, organization_id: str, delivery_id: str) -> WholeDelivery:
    """One delivery of the organization with what it sends and what came back.

    Raises:
        WebhookDeliveryNotFoundError: it has no such delivery.
    """
    delivery = await get_delivery(tx, organization_id, delivery_id)
    body = await repository.find_body(tx, organization_id, delivery.id)
    return WholeDelivery(delivery, body, await repository.list_tries(tx, organization_id, delivery.id, _MOST_TRIES))


async def resend(tx: Transaction, organization_id: str, delivery_id: str) -> Delivery:
    """Send a delivery again, at once, with the same body and `webhook-id`. One that is being sent is left as it is.

    Raises:
        WebhookDeliveryNotFoundError: the organization has no such delivery.
        WebhookEndpointDisabledError: its endpoint is disabled or deleted.
    """
    delivery = await get_delivery(tx, organization_id, delivery_id)
    endpoint = await repository.find(tx, organization_id, delivery.endpoint_id)
    if endpoint is None or endpoint.disabled_at is not None:
        raise WebhookEndpointDisabledError
    await repository.resend(tx, organization_id, delivery.id)
    return await get_delivery(tx, organization_id, delivery_id)


async def _lock(tx: Transaction, organization_id: str, endpoint_id: str) -> Endpoint:
    return _found(await repository.find(tx, organization_id, _stored(endpoint_id), lock=True))


def _found(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise WebhookEndpointNotFoundError
    return endpoint


def _stored(endpoint_id: str) -> str:
    # Postgres rejects NUL characters in text.
    return endpoint_id.replace("\0", "")


def _parsed(delivery_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(delivery_id)
    except ValueError:
        raise WebhookDeliveryNotFoundError from None


def _events(names: Sequence[str]) -> list[EventType]:
    unknown = sorted(set(names) - set(EventType))
    if unknown or not names:
        said = f"Unknown event: {', '.join(unknown)}" if unknown else "Name at least one event"
        raise InvalidRequestError(f"{said}. Known: {', '.join(EventType)}", param="events")
    return [event for event in EventType if event in names]


def _description(text: str) -> str:
    text = text.strip()
    if len(text) > LONGEST_DESCRIPTION or "\0" in text:
        raise InvalidRequestError(f"The description may have {LONGEST_DESCRIPTION} characters", param="description")
    return text


def _logged(endpoint: Endpoint) -> dict[str, object]:
    """What the log of changes says of an endpoint. A query of its URL may be a secret of the receiver's."""
    url = endpoint.url.partition("?")[0]
    return {"name": url, "description": endpoint.description, "events": [each.value for each in endpoint.events]}


def _log(
    tx: Transaction,
    actor: Actor,
    event: str,
    endpoint: Endpoint,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    log_change(
        tx,
        actor,
        event,
        object_id=endpoint.id,
        organization_id=endpoint.organization_id,
        before=before,
        after=after,
    )
