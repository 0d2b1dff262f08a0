import uuid
from datetime import timedelta
from typing import Annotated

import typer

from app.audit.actor import COMMAND_LINE
from app.cli.parameters import AsJson, Org, parse_duration
from app.cli.printing import print_json, print_rows, tell
from app.cli.transaction import in_organization
from app.core.clock import whole_seconds
from app.core.settings import load_settings
from app.webhook_endpoints import service
from app.webhook_endpoints.models import DeliveryState, EventType
from app.webhook_endpoints.repository import Delivery, DeliveryFilter, Endpoint
from app.webhook_endpoints.service import EndpointChanges, NewSecret, Setup

EndpointId = Annotated[str, typer.Argument(help="An id that `junis webhooks list` shows.")]
DeliveryId = Annotated[uuid.UUID, typer.Argument(help="An id that `junis webhooks deliveries` shows.")]

app = typer.Typer(help="Webhooks of an organization: where its events are sent.", no_args_is_help=True)

_OVERLAP_HELP = f"How long the former secret signs as well. Default: {service.DEFAULT_OVERLAP // timedelta(hours=1)}h."
_MOST_SHOWN = 1000


@app.command("create")
def create_endpoint(
    org: Org,
    url: Annotated[str, typer.Option(help="Where events are sent: https, without a password.")],
    event: Annotated[
        list[str] | None, typer.Option(metavar="EVENT", help=f"May be repeated. Default: {' '.join(EventType)}.")
    ] = None,
    description: Annotated[str, typer.Option(help="What it is for, up to 300 characters.")] = "",
    as_json: AsJson = False,
) -> None:
    """Have events sent to a URL, and print the secret that proves who sends them. It cannot be shown again."""
    made = in_organization(
        service.create_endpoint,
        org,
        _setup(),
        url=url,
        events=event or list(EventType),
        description=description,
        actor=COMMAND_LINE,
    )
    _print_secret(made, f"Created the endpoint {made.endpoint.id}", as_json=as_json)


@app.command("list")
def list_endpoints(org: Org, as_json: AsJson = False) -> None:
    """List the endpoints of an organization, oldest first."""
    endpoints = in_organization(service.list_endpoints, org)
    columns = ("id", "url", "events", "state", "failing_since", "created_at")
    print_rows(columns, [_shown(each) for each in endpoints], as_json=as_json)


@app.command("rotate")
def rotate_secret(
    endpoint_id: EndpointId,
    org: Org,
    overlap: Annotated[
        timedelta | None, typer.Option(parser=parse_duration, metavar="TIME", help=_OVERLAP_HELP)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replace the secret of an endpoint, and print the new one. It cannot be shown again."""
    lasts = service.DEFAULT_OVERLAP if overlap is None else overlap
    rotated = in_organization(service.rotate_secret, org, endpoint_id, _setup(), overlap=lasts, actor=COMMAND_LINE)
    until = rotated.endpoint.former_until
    done = f"The former secret signs until {whole_seconds(until)}" if until else "The former secret signs no more"
    _print_secret(rotated, done, as_json=as_json)


@app.command("enable")
def enable_endpoint(endpoint_id: EndpointId, org: Org) -> None:
    """Send events to an endpoint again."""
    _switch(org, endpoint_id, is_enabled=True)


@app.command("disable")
def disable_endpoint(endpoint_id: EndpointId, org: Org) -> None:
    """Send nothing more to an endpoint. What waits for it is given up when it would be due."""
    _switch(org, endpoint_id, is_enabled=False)


@app.command("delete")
def delete_endpoint(endpoint_id: EndpointId, org: Org) -> None:
    """Delete an endpoint for good."""
    in_organization(service.delete_endpoint, org, endpoint_id, actor=COMMAND_LINE)
    tell(f"Deleted the endpoint {endpoint_id}")


@app.command("test")
def send_test(endpoint_id: EndpointId, org: Org) -> None:
    """Send an event of the type webhook.test to an endpoint."""
    delivery = in_organization(service.send_test, org, endpoint_id)
    tell(f"A worker sends it as the delivery {delivery.id}")


@app.command("deliveries")
def list_deliveries(
    org: Org,
    endpoint: Annotated[str | None, typer.Option(help="Only those to this endpoint.")] = None,
    state: Annotated[DeliveryState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST_SHOWN, help="How many at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest first."""

    def wanted(organization_id: str) -> DeliveryFilter:
        return DeliveryFilter(organization_id, endpoint, None, state)

    found = in_organization(
        lambda tx, organization_id: service.list_deliveries(tx, wanted(organization_id), after=None, limit=limit), org
    )
    columns = ("id", "event_type", "subject", "state", "tries", "last_status", "last_error", "created_at")
    print_rows(columns, [_delivery(each) for each in found], as_json=as_json)


@app.command("resend")
def resend(delivery_id: DeliveryId, org: Org) -> None:
    """Send a delivery again, with the same body and webhook-id."""
    in_organization(service.resend, org, str(delivery_id))
    tell(f"A worker sends the delivery {delivery_id}")


def _setup() -> Setup:
    return Setup.of(load_settings())


def _switch(org: str, endpoint_id: str, *, is_enabled: bool) -> None:
    changes = EndpointChanges(is_enabled=is_enabled)
    in_organization(service.change_endpoint, org, endpoint_id, _setup(), changes, actor=COMMAND_LINE)
    tell(f"{'Enabled' if is_enabled else 'Disabled'} the endpoint {endpoint_id}")


def _print_secret(made: NewSecret, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json({**_shown(made.endpoint), "secret": made.secret})
        return
    tell(f"{done}. Its secret, which cannot be shown again:")
    typer.echo(made.secret)


def _shown(endpoint: Endpoint) -> dict[str, object]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": [each.value for each in endpoint.events],
        "state": endpoint.disabled_reason.value if endpoint.disabled_reason else "enabled",
        "failing_since": endpoint.failing_since,
        "created_at": endpoint.created_at,
    }


def _delivery(delivery: Delivery) -> dict[str, object]:
    return {
        "id": str(delivery.id),
        "event_type": delivery.event_type,
        "subject": delivery.subject,
        "state": delivery.state.value,
        "tries": delivery.tries,
        "last_status": delivery.last_status,
        "last_error": delivery.last_reason,
        "created_at": delivery.created_at,
    }
