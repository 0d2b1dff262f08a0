from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import typer

from app.api_keys import service
from app.api_keys.models import ApiKey
from app.api_keys.scopes import ALL_SCOPES, DEFAULT_SCOPES
from app.cli.output import print_json, print_rows, tell
from app.cli.parameters import AsJson, Org, parse_duration
from app.cli.run import in_transaction
from app.core.clock import now
from app.core.database import Transaction
from app.organizations.service import get_member, get_organization

app = typer.Typer(help="API keys of an organization.", no_args_is_help=True)

_COLUMNS = ("id", "name", "prefix", "state", "created_at", "expires_at", "last_used_at", "scopes")


@app.command("create")
def create_key(
    org: Org,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE", help=f"May be repeated. One of {', '.join(ALL_SCOPES)}. Default: the first four."
        ),
    ] = None,
    all_scopes: Annotated[bool, typer.Option("--all-scopes", help="Give the key every scope.")] = False,
    expires_in: Annotated[
        timedelta | None,
        typer.Option(parser=parse_duration, metavar="TIME", help="12h, 90d or 4w; never where it is left out."),
    ] = None,
    owner_email: Annotated[str | None, typer.Option(help="The member who makes it; else the owner.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: nothing can show it again."""
    if all_scopes and scope:
        raise typer.BadParameter("--all-scopes and --scope exclude each other.")
    scopes = ALL_SCOPES if all_scopes else scope or DEFAULT_SCOPES
    expires_at = now() + expires_in if expires_in is not None else None
    key, secret = in_transaction(_create_key, org, name, scopes, expires_at, owner_email)
    if as_json:
        print_json({"key": secret, **_as_row(key, now())})
    else:
        tell(f"Made the key {key.id} with the scopes {' '.join(key.scopes)}. It cannot be shown again:")
        typer.echo(secret)


@app.command("list")
def list_keys(org: Org, as_json: AsJson = False) -> None:
    """List the keys of an organization, oldest first."""
    keys = in_transaction(_list_keys, org)
    print_rows(_COLUMNS, [_as_row(key, now()) for key in keys], as_json=as_json)


@app.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="One of `junis keys list`.")], org: Org) -> None:
    """Make a key unusable for good."""
    in_transaction(_revoke_key, org, key_id)
    tell(f"Revoked the key {key_id}")


async def _create_key(
    tx: Transaction,
    org: str,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
    owner_email: str | None,
) -> tuple[ApiKey, str]:
    organization = await get_organization(tx, org)
    member = await get_member(tx, organization, owner_email)
    return await service.create_key(
        tx, organization_id=organization.id, user_id=member.id, name=name, scopes=scopes, expires_at=expires_at
    )


async def _list_keys(tx: Transaction, org: str) -> Sequence[ApiKey]:
    organization = await get_organization(tx, org)
    return await service.list_keys(tx, organization.id)


async def _revoke_key(tx: Transaction, org: str, key_id: str) -> None:
    organization = await get_organization(tx, org)
    await service.revoke_key(tx, organization.id, key_id)


def _as_row(key: ApiKey, at: datetime) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "state": _state(key, at),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "scopes": key.scopes,
    }


def _state(key: ApiKey, at: datetime) -> str:
    if key.revoked_at is not None and key.revoked_at <= at:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= at:
        return "expired"
    # Rotated: another key takes its place, and this one works until its overlap ends.
    return "rotated" if key.revoked_at is not None else "active"
