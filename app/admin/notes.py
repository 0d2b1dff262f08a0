"""A sentence that the next page shows once, carried by a sealed cookie: nobody else can make a page say something."""

import base64
from typing import Final

from fastapi import Request

from app.core.secret_keys import SecretKeys
from app.core.settings import Settings

NOTE_COOKIE: Final = "junis_note"
_PURPOSE: Final = "junis-note"
_SEPARATOR: Final = "."


def seal_note(request: Request, note: str) -> str:
    """The cookie's value for a note."""
    signature = _keys(request).sign(_PURPOSE, note)
    return f"{base64.urlsafe_b64encode(note.encode()).decode()}{_SEPARATOR}{signature}"


def read_note(request: Request) -> str | None:
    """The note that the previous page has left, or None."""
    encoded, _, signature = request.cookies.get(NOTE_COOKIE, "").rpartition(_SEPARATOR)
    try:
        note = base64.urlsafe_b64decode(encoded.encode()).decode()
    except ValueError:
        return None
    return note if note and _keys(request).is_signed(_PURPOSE, note, signature) else None


def _keys(request: Request) -> SecretKeys:
    settings: Settings = request.app.state.resources.settings
    return SecretKeys.of(settings)
