import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query

from app.core.documentation import links, may_raise
from app.core.errors import InvalidRequestError
from app.core.pagination import LARGEST_PAGE_SIZE
from app.dependencies import TransactionDep
from app.idempotency.dependencies import Once, OnceDep
from app.rate_limits.dependencies import GuardedRoute
from app.webhook_endpoints import service
from app.webhook_endpoints.dependencies import SetupDep, WebhookManager, actor_of
from app.webhook_endpoints.errors import (
    SecretKeyMissingError,
    WebhookDeliveryNotFoundError,
    WebhookEndpointDisabledError,
    WebhookEndpointNotFoundError,
)
from app.webhook_endpoints.models import DeliveryState
from app.webhook_endpoints.repository import DeliveryFilter
from app.webhook_endpoints.schemas import (
    WebhookDeliveryDetail,
    WebhookDeliveryPage,
    WebhookDeliveryRead,
    WebhookEndpointChange,
    WebhookEndpointDeleted,
    WebhookEndpointList,
    WebhookEndpointRead,
    WebhookEndpointRequest,
    WebhookEndpointWithSecret,
    WebhookRotationRequest,
)
from app.webhook_endpoints.service import EndpointChanges, NewSecret

_LINKS: dict[str, Any] = {
    "links": links("endpoint_id", "id", "get_webhook_endpoint", "change_webhook_endpoint", "test_webhook_endpoint")
}
_FREE: dict[str, Any] = {"x-billing": "free"}
router = APIRouter(prefix="/api/external/webhooks", tags=["Webhooks"], route_class=GuardedRoute)


@router.get("/endpoints")
async def list_webhook_endpoints(caller: WebhookManager, tx: TransactionDep) -> WebhookEndpointList:
    """The organization's webhook endpoints, the oldest first."""
    return WebhookEndpointList.of(await service.list_endpoints(tx, caller.organization_id))


@router.post("/endpoints", openapi_extra=_FREE)
@may_raise(InvalidRequestError, SecretKeyMissingError)
async def create_webhook_endpoint(
    body: WebhookEndpointRequest, caller: WebhookManager, once: OnceDep, tx: TransactionDep, setup: SetupDep
) -> WebhookEndpointWithSecret:
    """Have events sent to a URL. The secret that proves who sends them is shown this once."""

    async def create() -> NewSecret:
        return await service.create_endpoint(
            tx,
            caller.organization_id,
            setup,
            url=body.url,
            events=body.events,
            description=body.description,
            actor=actor_of(caller),
        )

    return await _with_secret(once, create)


@router.get("/endpoints/{endpoint_id}")
@may_raise(WebhookEndpointNotFoundError)
async def get_webhook_endpoint(endpoint_id: str, caller: WebhookManager, tx: TransactionDep) -> WebhookEndpointRead:
    """One webhook endpoint."""
    return WebhookEndpointRead.of(await service.get_endpoint(tx, caller.organization_id, endpoint_id))


@router.patch("/endpoints/{endpoint_id}")
@may_raise(WebhookEndpointNotFoundError, InvalidRequestError)
async def change_webhook_endpoint(
    endpoint_id: str, body: WebhookEndpointChange, caller: WebhookManager, tx: TransactionDep, setup: SetupDep
) -> WebhookEndpointRead:
    """Change an endpoint, disable it, or enable it again. What waits goes to the new URL."""
    changes = EndpointChanges(body.url, body.description, body.events, body.enabled)
    changed = await service.change_endpoint(
        tx, caller.organization_id, endpoint_id, setup, changes, actor=actor_of(caller)
    )
    return WebhookEndpointRead.of(changed)


@router.delete("/endpoints/{endpoint_id}")
@may_raise(WebhookEndpointNotFoundError)
async def delete_webhook_endpoint(
    endpoint_id: str, caller: WebhookManager, tx: TransactionDep
) -> WebhookEndpointDeleted:
    """Delete an endpoint for good. What waits for it is given up; its deliveries can still be read for a while."""
    await service.delete_endpoint(tx, caller.organization_id, endpoint_id, actor=actor_of(caller))
    return WebhookEndpointDeleted(id=endpoint_id)


@router.post("/endpoints/{endpoint_id}/rotate-secret", openapi_extra=_FREE)
@may_raise(WebhookEndpointNotFoundError, SecretKeyMissingError)
async def rotate_webhook_secret(
    endpoint_id: str,
    caller: WebhookManager,
    once: OnceDep,
    tx: TransactionDep,
    setup: SetupDep,
    body: Annotated[WebhookRotationRequest | None, Body()] = None,
) -> WebhookEndpointWithSecret:
    """Replace the secret. Until the overlap ends every try has two signatures, one by each secret."""
    overlap = (body or WebhookRotationRequest()).overlap

    async def rotate() -> NewSecret:
        return await service.rotate_secret(
            tx, caller.organization_id, endpoint_id, setup, overlap=overlap, actor=actor_of(caller)
        )

    return await _with_secret(once, rotate)


@router.post("/endpoints/{endpoint_id}/test", openapi_extra=_FREE)
@may_raise(WebhookEndpointNotFoundError, WebhookEndpointDisabledError)
async def test_webhook_endpoint(
    endpoint_id: str, caller: WebhookManager, once: OnceDep, tx: TransactionDep
) -> WebhookDeliveryRead:
    """Send an event of the type `webhook.test` to an endpoint."""

    async def send() -> WebhookDeliveryRead:
        return WebhookDeliveryRead.of(await service.send_test(tx, caller.organization_id, endpoint_id))

    return await once.run(WebhookDeliveryRead, send)


@router.get("/deliveries")
@may_raise(InvalidRequestError)
async def list_webhook_deliveries(
    caller: WebhookManager,
    tx: TransactionDep,
    endpoint_id: Annotated[str | None, Query(max_length=100)] = None,
    event_type: Annotated[str | None, Query(max_length=100)] = None,
    state: DeliveryState | None = None,
    after: Annotated[uuid.UUID | None, Query(description="The id of the last delivery of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE_SIZE)] = 20,
) -> WebhookDeliveryPage:
    """A page of deliveries, newest first."""
    wanted = DeliveryFilter(caller.organization_id, endpoint_id, event_type, state)
    return WebhookDeliveryPage.of(await service.list_deliveries_after(tx, wanted, after, limit + 1), limit)


@router.get("/deliveries/{delivery_id}")
@may_raise(WebhookDeliveryNotFoundError)
async def get_webhook_delivery(delivery_id: str, caller: WebhookManager, tx: TransactionDep) -> WebhookDeliveryDetail:
    """One delivery with what it sends and what came back."""
    return WebhookDeliveryDetail.of_whole(await service.get_whole_delivery(tx, caller.organization_id, delivery_id))


@router.post("/deliveries/{delivery_id}/resend", openapi_extra=_FREE)
@may_raise(WebhookDeliveryNotFoundError, WebhookEndpointDisabledError)
async def resend_webhook_delivery(
    delivery_id: str, caller: WebhookManager, once: OnceDep, tx: TransactionDep
) -> WebhookDeliveryRead:
    """Send a delivery again, with the same body and `webhook-id`. One that is being sent is left as it is."""

    async def send() -> WebhookDeliveryRead:
        return WebhookDeliveryRead.of(await service.resend(tx, caller.organization_id, delivery_id))

    return await once.run(WebhookDeliveryRead, send)


async def _with_secret(once: Once, make: Callable[[], Awaitable[NewSecret]]) -> WebhookEndpointWithSecret:
    """What is stored for a repetition of the request is without the secret."""
    secrets: list[str] = []

    async def run() -> WebhookEndpointRead:
        made = await make()
        secrets.append(made.secret)
        return WebhookEndpointRead.of(made.endpoint)

    shown = await once.run(WebhookEndpointRead, run)
    return WebhookEndpointWithSecret(**shown.model_dump(), secret=next(iter(secrets), None))
