from datetime import timedelta
from typing import Annotated

import typer

from app.api_keys import service
from app.api_keys.scopes import ALL_SCOPES, DEFAULT_SCOPES, Scope
from app.audit.actor import COMMAND_LINE
from app.cli.key_printing import print_keys, print_new_key
from app.cli.parameters import AsJson, Org, parse_duration
from app.cli.printing import tell
from app.cli.transaction import in_organization
from app.core.clock import now, whole_seconds

KeyId = Annotated[str, typer.Argument(help="An id that `junis keys list` shows.")]

app = typer.Typer(help="API keys of an organization.", no_args_is_help=True)

_SCOPE_HELP = f"May be repeated. One of {', '.join(Scope)}. Default: {', '.join(DEFAULT_SCOPES)}."
_OVERLAP_HELP = f"How long the old key goes on working. Default: {service.DEFAULT_OVERLAP // timedelta(hours=1)}h."


@app.command("create")
def create_key(
    org: Org,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[list[str] | None, typer.Option(metavar="SCOPE", help=_SCOPE_HELP)] = None,
    all_scopes: Annotated[bool, typer.Option("--all-scopes", help="Give the key every scope.")] = False,
    expires_in: Annotated[
        timedelta | None,
        typer.Option(parser=parse_duration, metavar="TIME", help="Such as 12h, 90d or 4w. Default: never."),
    ] = None,
    per_minute: Annotated[int | None, typer.Option(help="Requests. Default: what the plan allows.")] = None,
    per_hour: Annotated[int | None, typer.Option(help="Requests. Default: no limit.")] = None,
    owner_email: Annotated[str | None, typer.Option(help="The member it belongs to. Default: the owner.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It cannot be shown again."""
    if all_scopes and scope:
        raise typer.BadParameter("--all-scopes and --scope exclude each other.")
    key, secret = in_organization(
        service.create_member_key,
        org,
        email=owner_email,
        name=name,
        scopes=ALL_SCOPES if all_scopes else scope or (),
        expires_at=now() + expires_in if expires_in is not None else None,
        requests_per_minute=per_minute,
        requests_per_hour=per_hour,
        actor=COMMAND_LINE,
    )
    print_new_key(key, secret, f"Created the key {key.id} with the scopes {' '.join(key.scopes)}", as_json=as_json)


@app.command("list")
def list_keys(org: Org, as_json: AsJson = False) -> None:
    """List the keys of an organization, oldest first."""
    print_keys(in_organization(service.list_keys, org), as_json=as_json)


@app.command("rotate")
def rotate_key(
    key_id: KeyId,
    org: Org,
    overlap: Annotated[
        timedelta | None, typer.Option(parser=parse_duration, metavar="TIME", help=_OVERLAP_HELP)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key that replaces another one, and print it. It cannot be shown again."""
    overlap = service.DEFAULT_OVERLAP if overlap is None else overlap
    key, secret = in_organization(service.rotate_key, org, key_id, overlap=overlap, actor=COMMAND_LINE)
    until = whole_seconds(now() + overlap)
    print_new_key(key, secret, f"Created the key {key.id}. {key_id} works until {until} at the latest", as_json=as_json)


@app.command("revoke")
def revoke_key(key_id: KeyId, org: Org) -> None:
    """Make a key unusable for good."""
    in_organization(service.revoke_key, org, key_id, actor=COMMAND_LINE)
    tell(f"Revoked the key {key_id}")
