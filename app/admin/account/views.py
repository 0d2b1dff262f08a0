"""What the account page shows: pure functions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.accounts.signed_in import OpenSession

# The more special name first: most browsers also call themselves by the names of others.
_BROWSERS = (
    ("Edge", r"Edg(e|A|iOS)?/"),
    ("Opera", r"OPR/|Opera"),
    ("Samsung Internet", r"SamsungBrowser/"),
    ("Firefox", r"Firefox/|FxiOS/"),
    ("Chrome", r"Chrome/|CriOS/|Chromium/"),
    ("Safari", r"Safari/"),
    ("curl", r"^curl/"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("macOS", "Macintosh|Mac OS X"),
    ("ChromeOS", "CrOS"),
    ("Linux", "Linux|X11"),
)
_LONGEST = 40


@dataclass(frozen=True)
class SessionRow:
    """A browser that is signed in."""

    id: str
    browser: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    is_this: bool


def session_rows(sessions: Sequence[OpenSession], this: str) -> list[SessionRow]:
    """The rows of the sessions, the reader's own first."""
    rows = [
        SessionRow(
            session.id,
            browser_name(session.user_agent),
            session.address,
            session.created_at,
            session.last_seen_at,
            session.id == this,
        )
        for session in sessions
    ]
    return sorted(rows, key=lambda row: not row.is_this)


def browser_name(user_agent: str) -> str:
    """What a browser calls itself, as a person would say it: `Firefox on Linux`."""
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    first_word = user_agent.split("/", maxsplit=1)[0].strip()[:_LONGEST]
    return browser or system or first_word or "Unknown browser"


def _first(names: Sequence[tuple[str, str]], user_agent: str) -> str | None:
    return next((name for name, pattern in names if re.search(pattern, user_agent)), None)
