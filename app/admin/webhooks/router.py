from datetime import timedelta

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.admin.access import Manager, Viewer
from app.admin.forms import Form, read_form
from app.admin.rendering import see_other, segment
from app.admin.webhooks import pages, secret_page, views
from app.core.database import Transaction
from app.core.settings import Settings
from app.dependencies import SettingsDep, TransactionDep
from app.webhook_endpoints import service
from app.webhook_endpoints.dependencies import SetupDep
from app.webhook_endpoints.models import EventType
from app.webhook_endpoints.receivers import LONGEST_URL
from app.webhook_endpoints.service import LONGEST_DESCRIPTION, EndpointChanges

router = APIRouter()


@router.get("/webhooks")
async def list_endpoints(request: Request, viewer: Manager, tx: TransactionDep) -> Response:
    """Where the organization's events are sent."""
    return await pages.show_list(request, viewer, tx)


@router.get("/webhooks/new")
async def new_endpoint(request: Request, viewer: Manager) -> Response:
    """The form of a new endpoint."""
    return pages.show_form(request, viewer, Form.of({"events": [each.value for each in EventType]}))


@router.post("/webhooks/new")
async def create_endpoint(
    request: Request, viewer: Manager, tx: TransactionDep, setup: SetupDep, settings: SettingsDep
) -> Response:
    """Create the endpoint, and lead to the page that shows its secret once."""
    form = await read_form(request)
    changes = _read_changes(form)
    if not form.errors:
        with form.refusing("url"):
            made = await service.create_endpoint(
                tx,
                viewer.organization_id,
                setup,
                url=changes.url or "",
                events=changes.events or (),
                description=changes.description or "",
                actor=viewer.actor,
            )
            return await _lead_to_secret(request, viewer, tx, settings, made.endpoint.id)
    return pages.show_form(request, viewer, form)


@router.get("/webhooks/secret")
async def show_secret(
    request: Request, viewer: Manager, tx: TransactionDep, settings: SettingsDep, endpoint: str = ""
) -> Response:
    """A new secret, once. Later the page says that it cannot be shown again."""
    found = await pages.find_endpoint(tx, viewer, endpoint)
    sealed = await service.get_sealed_secret(tx, viewer.organization_id, found.id)
    secret = secret_page.read_secret(request, settings, viewer, found.id, sealed)
    response = pages.show_secret(request, viewer, found, secret)
    response.headers["Cache-Control"] = "no-store"
    secret_page.forget_cookie(response, found.id)
    return response


@router.get("/webhooks/deliveries/{delivery_id}")
async def show_delivery(delivery_id: str, request: Request, viewer: Manager, tx: TransactionDep) -> Response:
    """One delivery with what it sends and what came back."""
    return await pages.show_delivery(request, viewer, tx, await pages.find_delivery(tx, viewer, delivery_id))


@router.post("/webhooks/deliveries/{delivery_id}/resend")
async def resend(delivery_id: str, request: Request, viewer: Manager, tx: TransactionDep) -> Response:
    """Send a delivery again."""
    whole = await pages.find_delivery(tx, viewer, delivery_id)
    form, note = await read_form(request), "It is sent again, with the same body."
    with form.refusing():
        await service.resend(tx, viewer.organization_id, delivery_id)
    return see_other(request, f"/webhooks/deliveries/{segment(whole.delivery.id)}", note=form.errors.get("", note))


@router.get("/webhooks/{endpoint_id}")
async def show_endpoint(
    endpoint_id: str,
    request: Request,
    viewer: Manager,
    tx: TransactionDep,
    state: str = "",
    type: str = "",
    cursor: str | None = None,
) -> Response:
    """One endpoint with its deliveries."""
    endpoint = await pages.find_endpoint(tx, viewer, endpoint_id)
    return await pages.show_endpoint(request, viewer, tx, endpoint, state=state, type_=type, cursor=cursor)


@router.get("/webhooks/{endpoint_id}/edit")
async def edit_endpoint(endpoint_id: str, request: Request, viewer: Manager, tx: TransactionDep) -> Response:
    """The form that changes an endpoint."""
    endpoint = await pages.find_endpoint(tx, viewer, endpoint_id)
    events = [each.value for each in endpoint.events]
    form = Form.of({"url": endpoint.url, "description": endpoint.description, "events": events})
    return pages.show_form(request, viewer, form, endpoint)


@router.post("/webhooks/{endpoint_id}/edit")
async def change_endpoint(
    endpoint_id: str, request: Request, viewer: Manager, tx: TransactionDep, setup: SetupDep
) -> Response:
    """Change where events go, and which."""
    endpoint = await pages.find_endpoint(tx, viewer, endpoint_id)
    form = await read_form(request)
    changes = _read_changes(form)
    if not form.errors:
        with form.refusing("url"):
            await service.change_endpoint(tx, viewer.organization_id, endpoint.id, setup, changes, actor=viewer.actor)
            return see_other(request, _path(endpoint.id), note="The endpoint is saved. It holds from now on.")
    return pages.show_form(request, viewer, form, endpoint)


@router.post("/webhooks/{endpoint_id}/test")
async def send_test(endpoint_id: str, request: Request, viewer: Manager, tx: TransactionDep) -> Response:
    """Send an event that only tries out the endpoint, and lead to its delivery."""
    endpoint = await pages.find_endpoint(tx, viewer, endpoint_id)
    form = await read_form(request)
    if not form.errors:
        with form.refusing():
            delivery = await service.send_test(tx, viewer.organization_id, endpoint.id)
            return see_other(request, f"/webhooks/deliveries/{delivery.id}", note="A test event is on its way.")
    return see_other(request, _path(endpoint.id), note=form.errors.get(""))


@router.post("/webhooks/{endpoint_id}/switch")
async def switch_endpoint(
    endpoint_id: str, request: Request, viewer: Manager, tx: TransactionDep, setup: SetupDep
) -> Response:
    """Enable or disable an endpoint."""
    endpoint = await pages.find_endpoint(tx, viewer, endpoint_id)
    form = await read_form(request)
    changes = EndpointChanges(is_enabled=form.value("to") == "on")
    await service.change_endpoint(tx, viewer.organization_id, endpoint.id, setup, changes, actor=viewer.actor)
    said = "Events are sent to it again." if changes.is_enabled else "Nothing more is sent to it."
    return see_other(request, _path(endpoint.id), note=said)


@router.get("/webhooks/{endpoint_id}/rotate")
async def ask_overlap(endpoint_id: str, request: Request, viewer: Manager, tx: TransactionDep) -> Response:
    """For how long the former secret is to sign beside the new one."""
    endpoint = await pages.find_endpoint(tx, viewer, endpoint_id)
    form = Form.of({"overlap": service.DEFAULT_OVERLAP // timedelta(hours=1)})
    return pages.show_question(request, viewer, "rotate", "Rotate the secret", endpoint, form)


@router.post("/webhooks/{endpoint_id}/rotate")
async def rotate_secret(
    endpoint_id: str, request: Request, viewer: Manager, tx: TransactionDep, setup: SetupDep, settings: SettingsDep
) -> Response:
    """Replace the secret, and lead to the page that shows the new one once."""
    endpoint = await pages.find_endpoint(tx, viewer, endpoint_id)
    form = await read_form(request)
    hours = form.one_of("overlap", list(views.OVERLAPS))
    if not form.errors:
        with form.refusing():
            overlap = timedelta(hours=int(hours))
            await service.rotate_secret(
                tx, viewer.organization_id, endpoint.id, setup, overlap=overlap, actor=viewer.actor
            )
            return await _lead_to_secret(request, viewer, tx, settings, endpoint.id)
    return pages.show_question(request, viewer, "rotate", "Rotate the secret", endpoint, form)


@router.get("/webhooks/{endpoint_id}/delete")
async def ask_host(endpoint_id: str, request: Request, viewer: Manager, tx: TransactionDep) -> Response:
    """What ends if the endpoint is deleted."""
    endpoint = await pages.find_endpoint(tx, viewer, endpoint_id)
    return pages.show_question(request, viewer, "delete", "Delete the endpoint?", endpoint, Form())


@router.post("/webhooks/{endpoint_id}/delete")
async def delete_endpoint(endpoint_id: str, request: Request, viewer: Manager, tx: TransactionDep) -> Response:
    """Delete the endpoint, if its host was typed."""
    endpoint = await pages.find_endpoint(tx, viewer, endpoint_id)
    form = await read_form(request)
    form.require_typed("host", views.host_of(endpoint), "That is not its host. Nothing was deleted.")
    if form.errors:
        return pages.show_question(request, viewer, "delete", "Delete the endpoint?", endpoint, form)
    await service.delete_endpoint(tx, viewer.organization_id, endpoint.id, actor=viewer.actor)
    return see_other(request, "/webhooks", note=f"The endpoint at {views.host_of(endpoint)} is deleted.")


def _read_changes(form: Form) -> EndpointChanges:
    events = form.texts("events")
    if not events:
        form.error("events", "Tick at least one event.")
    return EndpointChanges(
        url=form.text("url", most=LONGEST_URL, label="A URL"),
        description=form.text("description", most=LONGEST_DESCRIPTION, is_optional=True, label="A description"),
        events=events,
    )


async def _lead_to_secret(
    request: Request, viewer: Viewer, tx: Transaction, settings: Settings, endpoint_id: str
) -> RedirectResponse:
    sealed = await service.get_sealed_secret(tx, viewer.organization_id, endpoint_id)
    response = see_other(request, f"/webhooks/secret?endpoint={segment(endpoint_id)}")
    secret_page.keep_cookie(response, request, settings, viewer, endpoint_id, sealed)
    return response


def _path(endpoint_id: str) -> str:
    return f"/webhooks/{segment(endpoint_id)}"
