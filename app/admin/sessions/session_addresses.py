"""The addresses of sessions.

Clients choose the names of sessions, and two users may choose the same. So an address has the name and the user; with
the name alone it leads to the only session of that name, or to a list of all of them.
"""

import re
from typing import Final
from urllib.parse import quote

# Stands for a name that a path cannot carry: with slashes, of dots alone, very long, or this itself.
UNNAMED: Final = "~"
_FITS_PATH: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._:@+=-]{1,200}")


def session_path(public_id: str, user_id: str, **query: str | int | None) -> str:
    """The address of a session below the console's."""
    fits = _FITS_PATH.fullmatch(public_id) is not None
    given = {"name": None if fits else public_id, "user": user_id, **query}
    pairs = [f"{name}={quote(str(value), safe='')}" for name, value in given.items() if value is not None]
    return f"sessions/{quote(public_id, safe='') if fits else UNNAMED}?{'&'.join(pairs)}"


def message_path(public_id: str, user_id: str, position: int) -> str:
    """The address of one message of a session, counted from 0, with its whole text."""
    return session_path(public_id, user_id, message=position)
