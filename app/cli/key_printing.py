"""How keys are shown. A key itself is shown only when it is new."""

from collections.abc import Iterable
from datetime import datetime

import typer

from app.api_keys.key_state import key_state
from app.api_keys.models import ApiKey
from app.api_keys.service import NewKey
from app.cli.printing import print_json, print_rows, tell
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
    "monthly_credits",
    "scopes",
)


def print_new_key(new: NewKey, done: str, *, as_json: bool) -> None:
    """Print a key that was just created: alone on standard output, or with its row as JSON.

    Args:
        new: the key and its row.
        done: what was done, for standard error.
        as_json: whether to print JSON.
    """
    if as_json:
        print_json({"key": new.secret, **_as_row(new.row, now())})
    else:
        tell(f"{done}. It cannot be shown again:")
        typer.echo(new.secret)


def print_keys(keys: Iterable[ApiKey], *, as_json: bool) -> None:
    """Print what may be shown of keys, with their current state."""
    at = now()
    print_rows(_COLUMNS, [_as_row(key, at) for key in keys], as_json=as_json)


def _as_row(key: ApiKey, at: datetime) -> dict[str, object]:
    return {column: key_state(key, at) if column == "state" else getattr(key, column) for column in _COLUMNS}
