from datetime import timedelta
from decimal import Decimal
from typing import Annotated

import typer

from app.api_keys import service
from app.api_keys.key_request import KeyChanges, KeyRequest
from app.api_keys.scopes import ALL_SCOPES, DEFAULT_SCOPES, Scope
from app.audit.actor import COMMAND_LINE
from app.cli.key_printing import print_keys, print_new_key
from app.cli.parameters import AsJson, Org, parse_amount, parse_duration
from app.cli.printing import tell
from app.cli.transaction import in_organization, in_transaction
from app.core.clock import whole_seconds

KeyId = Annotated[str, typer.Argument(help="An id that `junis keys list` shows.")]

app = typer.Typer(help="API keys of an organization.", no_args_is_help=True)

_SCOPE_HELP = f"May be repeated. One of {', '.join(Scope)}. Default: {', '.join(DEFAULT_SCOPES)}."
_OVERLAP_HELP = f"How long the old key goes on working. Default: {service.DEFAULT_OVERLAP // timedelta(hours=1)}h."


@app.command("create")
def create_key(
    org: Org,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    description: Annotated[str, typer.Option(help="More about it, up to 300 characters.")] = "",
    scope: Annotated[list[str] | None, typer.Option(metavar="SCOPE", help=_SCOPE_HELP)] = None,
    all_scopes: Annotated[bool, typer.Option("--all-scopes", help="Give the key every scope.")] = False,
    expires_in: Annotated[
        timedelta | None,
        typer.Option(parser=parse_duration, metavar="TIME", help="Such as 12h, 90d or 4w. Default: never."),
    ] = None,
    per_minute: Annotated[int | None, typer.Option(help="Requests. Default: what the plan allows.")] = None,
    per_hour: Annotated[int | None, typer.Option(help="Requests. Default: no limit.")] = None,
    monthly_credits: Annotated[
        Decimal | None,
        typer.Option(
            parser=parse_amount, metavar="CREDITS", help="The most it may spend in a month. Default: no limit."
        ),
    ] = None,
    owner_email: Annotated[str | None, typer.Option(help="The member it belongs to. Default: the owner.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It cannot be shown again."""
    if all_scopes and scope:
        raise typer.BadParameter("--all-scopes and --scope exclude each other.")
    request = KeyRequest(
        name=name,
        description=description,
        scopes=ALL_SCOPES if all_scopes else scope or (),
        requests_per_minute=per_minute,
        requests_per_hour=per_hour,
        monthly_credits=monthly_credits,
    )
    new = in_transaction(
        service.create_member_key, org, request, email=owner_email, expires_in=expires_in, actor=COMMAND_LINE
    )
    done = f"Created the key {new.row.id} with the scopes {' '.join(new.row.scopes)}"
    print_new_key(new, done, as_json=as_json)


@app.command("list")
def list_keys(org: Org, as_json: AsJson = False) -> None:
    """List the keys of an organization, oldest first."""
    print_keys(in_organization(service.list_keys, org), as_json=as_json)


@app.command("set-cap")
def set_cap(
    key_id: KeyId,
    org: Org,
    monthly_credits: Annotated[
        str, typer.Option(metavar="CREDITS", help="The most it may spend in a month in UTC, or none.")
    ],
) -> None:
    """Limit what a key may spend in a month, from now on. What it has spent in this month counts."""
    amount = None if monthly_credits == "none" else parse_amount(monthly_credits)
    in_organization(service.change_key, org, key_id, KeyChanges(monthly_credits=amount), actor=COMMAND_LINE)
    tell(f"The key {key_id} may spend {'any amount' if amount is None else f'{amount:f} credits'} a month")


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
    new = in_organization(service.rotate_key, org, key_id, overlap=overlap, actor=COMMAND_LINE)
    until = whole_seconds(new.old_works_until)
    done = f"Created the key {new.row.id}. {key_id} works until {until} at the latest"
    print_new_key(new, done, as_json=as_json)


@app.command("revoke")
def revoke_key(key_id: KeyId, org: Org) -> None:
    """Make a key unusable for good."""
    in_organization(service.revoke_key, org, key_id, actor=COMMAND_LINE)
    tell(f"Revoked the key {key_id}")
