"""A sentence that the next page shows once, carried by a sealed cookie: nobody else can make a page say something."""

import base64
import hashlib
import hmac
from typing import Final

from fastapi import Request

from app.core.settings import Settings

NOTE_COOKIE: Final = "junis_note"
_SEPARATOR: Final = "."


def seal_note(request: Request, note: str) -> str:
    """The cookie's value for a note."""
    return f"{base64.urlsafe_b64encode(note.encode()).decode()}{_SEPARATOR}{_seal(request, note)}"


def read_note(request: Request) -> str | None:
    """The note that the previous page has left, or None."""
    encoded, _, seal = request.cookies.get(NOTE_COOKIE, "").rpartition(_SEPARATOR)
    try:
        note = base64.urlsafe_b64decode(encoded.encode()).decode()
    except ValueError:
        return None
    return note if note and hmac.compare_digest(seal.encode(), _seal(request, note).encode()) else None


def _seal(request: Request, note: str) -> str:
    settings: Settings = request.app.state.resources.settings
    key = settings.secret_key.get_secret_value().encode()
    return hmac.new(key, b"junis-note:" + note.encode(), hashlib.sha256).hexdigest()
