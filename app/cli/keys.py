from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import typer

from app.api_keys import service
from app.api_keys.models import ApiKey
from app.api_keys.scopes import ALL_SCOPES, DEFAULT_SCOPES
from app.cli.key_output import print_keys, print_new_key
from app.cli.output import tell
from app.cli.parameters import AsJson, Org, parse_duration
from app.cli.transaction import in_transaction
from app.core.clock import now, whole_seconds
from app.core.database import Transaction
from app.organizations.service import get_member, get_organization

KeyId = Annotated[str, typer.Argument(help="One of `junis keys list`.")]

app = typer.Typer(help="API keys of an organization.", no_args_is_help=True)

_OVERLAP = timedelta(hours=24)


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
    per_minute: Annotated[int | None, typer.Option(help="Requests; what the plan allows where left out.")] = None,
    per_hour: Annotated[int | None, typer.Option(help="Requests; not limited where it is left out.")] = None,
    owner_email: Annotated[str | None, typer.Option(help="The member who makes it; else the owner.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: nothing can show it again."""
    if all_scopes and scope:
        raise typer.BadParameter("--all-scopes and --scope exclude each other.")
    scopes = ALL_SCOPES if all_scopes else scope or DEFAULT_SCOPES
    expires_at = now() + expires_in if expires_in is not None else None
    key, secret = in_transaction(
        _create_key,
        org,
        owner_email,
        name=name,
        scopes=scopes,
        expires_at=expires_at,
        requests_per_minute=per_minute,
        requests_per_hour=per_hour,
    )
    print_new_key(key, secret, f"Made the key {key.id} with the scopes {' '.join(key.scopes)}", as_json=as_json)


@app.command("list")
def list_keys(org: Org, as_json: AsJson = False) -> None:
    """List the keys of an organization, oldest first."""
    keys = in_transaction(_list_keys, org)
    print_keys(keys, as_json=as_json)


@app.command("rotate")
def rotate_key(
    key_id: KeyId,
    org: Org,
    overlap: Annotated[
        timedelta | None,
        typer.Option(parser=parse_duration, metavar="TIME", help="How long the old key works on; 24h if left out."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key that takes the place of another, and print it: nothing can show it again."""
    overlap = _OVERLAP if overlap is None else overlap
    key, secret = in_transaction(_rotate_key, org, key_id, overlap)
    until = whole_seconds(now() + overlap)
    print_new_key(key, secret, f"Made the key {key.id}. {key_id} works until {until} at the latest", as_json=as_json)


@app.command("revoke")
def revoke_key(key_id: KeyId, org: Org) -> None:
    """Make a key unusable for good."""
    in_transaction(_revoke_key, org, key_id)
    tell(f"Revoked the key {key_id}")


async def _create_key(
    tx: Transaction,
    org: str,
    owner_email: str | None,
    *,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
    requests_per_minute: int | None,
    requests_per_hour: int | None,
) -> tuple[ApiKey, str]:
    organization = await get_organization(tx, org)
    member = await get_member(tx, organization, owner_email)
    return await service.create_key(
        tx,
        organization_id=organization.id,
        user_id=member.id,
        name=name,
        scopes=scopes,
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
        requests_per_hour=requests_per_hour,
    )


async def _rotate_key(tx: Transaction, org: str, key_id: str, overlap: timedelta) -> tuple[ApiKey, str]:
    organization = await get_organization(tx, org)
    return await service.rotate_key(tx, organization.id, key_id, overlap=overlap)


async def _list_keys(tx: Transaction, org: str) -> Sequence[ApiKey]:
    organization = await get_organization(tx, org)
    return await service.list_keys(tx, organization.id)


async def _revoke_key(tx: Transaction, org: str, key_id: str) -> None:
    organization = await get_organization(tx, org)
    await service.revoke_key(tx, organization.id, key_id)
