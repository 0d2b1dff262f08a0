"""The pages of webhooks: what each shows."""

import json
import uuid
from datetime import datetime
from typing import Final

from fastapi import Request
from starlette.responses import Response

from app.admin.access import Viewer
from app.admin.errors import PageNotFoundError
from app.admin.forms import Form
from app.admin.paging import page_of, read_position
from app.admin.rendering import render
from app.admin.webhooks import views
from app.core.database import Transaction
from app.webhook_endpoints import service
from app.webhook_endpoints.errors import WebhookDeliveryNotFoundError, WebhookEndpointNotFoundError
from app.webhook_endpoints.models import DeliveryState
from app.webhook_endpoints.repository import DeliveryFilter, Endpoint
from app.webhook_endpoints.service import WholeDelivery

_HERE: Final = "webhooks"
_PAGE_SIZE: Final = 50


async def show_list(request: Request, viewer: Viewer, tx: Transaction) -> Response:
    """All endpoints."""
    endpoints = await service.list_endpoints(tx, viewer.organization_id)
    return render(
        request,
        "webhooks/list.html",
        viewer,
        title="Webhooks",
        here=_HERE,
        endpoints=endpoints,
        most=service.MOST_ENDPOINTS,
        views=views,
    )


def show_form(request: Request, viewer: Viewer, form: Form, endpoint: Endpoint | None = None) -> Response:
    """The form of a new endpoint, or of one that is changed."""
    return render(
        request,
        "webhooks/edit.html",
        viewer,
        title="Change endpoint" if endpoint else "New endpoint",
        here=_HERE,
        status=_status(form),
        form=form,
        endpoint=endpoint,
        views=views,
    )


async def show_endpoint(
    request: Request, viewer: Viewer, tx: Transaction, endpoint: Endpoint, *, state: str, type_: str, cursor: str | None
) -> Response:
    """One endpoint with its deliveries."""
    wanted = DeliveryFilter(
        viewer.organization_id,
        endpoint.id,
        type_ if type_ in views.TYPES else None,
        DeliveryState(state) if state in set(DeliveryState) else None,
    )
    found = await service.list_deliveries(tx, wanted, after=_position(cursor), limit=_PAGE_SIZE + 1)
    page = page_of(found, _PAGE_SIZE, lambda each: (each.created_at.isoformat(), str(each.id)), cursor=cursor)
    return render(
        request,
        "webhooks/endpoint.html",
        viewer,
        title=views.host_of(endpoint),
        here=_HERE,
        endpoint=endpoint,
        page=page,
        wanted=wanted,
        views=views,
    )


def show_question(
    request: Request, viewer: Viewer, template: str, title: str, endpoint: Endpoint, form: Form
) -> Response:
    """A page that asks before something is done to an endpoint."""
    return render(
        request,
        f"webhooks/{template}.html",
        viewer,
        title=title,
        here=_HERE,
        status=_status(form),
        endpoint=endpoint,
        form=form,
        views=views,
    )


def show_secret(request: Request, viewer: Viewer, endpoint: Endpoint, secret: str | None) -> Response:
    """The secret, or that it cannot be shown any more."""
    return render(
        request,
        "webhooks/secret.html",
        viewer,
        title=views.host_of(endpoint),
        here=_HERE,
        status=200 if secret else 410,
        endpoint=endpoint,
        secret=secret,
        views=views,
    )


async def show_delivery(request: Request, viewer: Viewer, tx: Transaction, whole: WholeDelivery) -> Response:
    """One delivery with what it sends and what came back."""
    try:
        endpoint = await service.get_endpoint(tx, viewer.organization_id, whole.delivery.endpoint_id)
    except WebhookEndpointNotFoundError:
        endpoint = None
    return render(
        request,
        "webhooks/delivery.html",
        viewer,
        title=whole.delivery.event_type,
        here=_HERE,
        delivery=whole.delivery,
        body=json.dumps(json.loads(whole.body), indent=2, ensure_ascii=False),
        tries=whole.tries,
        endpoint=endpoint,
        views=views,
    )


async def find_endpoint(tx: Transaction, viewer: Viewer, endpoint_id: str) -> Endpoint:
    """An endpoint of the reader's organization.

    Raises:
        PageNotFoundError: there is none.
    """
    try:
        return await service.get_endpoint(tx, viewer.organization_id, endpoint_id)
    except WebhookEndpointNotFoundError:
        raise PageNotFoundError from None


async def find_delivery(tx: Transaction, viewer: Viewer, delivery_id: str) -> WholeDelivery:
    """A delivery of the reader's organization.

    Raises:
        PageNotFoundError: there is none.
    """
    try:
        return await service.get_whole_delivery(tx, viewer.organization_id, delivery_id)
    except WebhookDeliveryNotFoundError:
        raise PageNotFoundError from None


def _position(cursor: str | None) -> tuple[datetime, uuid.UUID] | None:
    position = read_position(cursor, str, str)
    try:
        return (datetime.fromisoformat(str(position[0])), uuid.UUID(str(position[1]))) if position else None
    except ValueError:
        return None


def _status(form: Form) -> int:
    return 422 if form.errors else 200
