"""What is shown of keys; a key itself only when it is new."""

from collections.abc import Iterable
from datetime import datetime

import typer

from app.api_keys.models import ApiKey
from app.cli.output import print_json, print_rows, tell
from app.core.clock import now

_COLUMNS = (
    "id",
    "name",
    "prefix",
    "state",
    "created_at",
    "expires_at",
    "last_used_at",
    "requests_per_minute",
    "requests_per_hour",
    "scopes",
)


def print_new_key(key: ApiKey, secret: str, told: str, *, as_json: bool) -> None:
    """Print a key that was just made, alone on standard output unless all about it is wanted as JSON.

    Args:
        key: the row.
        secret: the key itself.
        told: what was done, said beside the key.
        as_json: whether a program reads it.
    """
    if as_json:
        print_json({"key": secret, **_as_row(key, now())})
    else:
        tell(f"{told}. It cannot be shown again:")
        typer.echo(secret)


def print_keys(keys: Iterable[ApiKey], *, as_json: bool) -> None:
    """Print what can be shown of keys, with their state now."""
    at = now()
    print_rows(_COLUMNS, [_as_row(key, at) for key in keys], as_json=as_json)


def _as_row(key: ApiKey, at: datetime) -> dict[str, object]:
    return {column: _state(key, at) if column == "state" else getattr(key, column) for column in _COLUMNS}


def _state(key: ApiKey, at: datetime) -> str:
    if key.revoked_at is not None and key.revoked_at <= at:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= at:
        return "expired"
    # Rotated: another key takes its place, and this one works until its overlap ends.
    return "rotated" if key.revoked_at is not None else "active"
