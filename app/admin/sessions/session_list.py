"""The list of sessions as its page shows it, and the filters in its address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from app.admin.access import Viewer
from app.admin.sessions.list_queries import SessionFilter
from app.admin.sessions.queries import SessionRow
from app.admin.sessions.session_addresses import session_path
from app.admin.sessions.transcript import title_of

STATES: Final = (("", "In any state"), ("running", "Running now"), ("failed", "Failed"))
PERIODS: Final = (("", "All time"), ("1", "Last 24 hours"), ("7", "Last 7 days"), ("30", "Last 30 days"))
_MOST_NAME: Final = 512


@dataclass(frozen=True)
class SessionsQuery:
    """What the address of the list asks for. What is not known in it is passed over."""

    q: str = ""
    user: str = ""
    key: str = ""
    state: str = ""
    days: str = ""

    @property
    def values(self) -> dict[str, str]:
        """The filters that are set, by their names in the address."""
        return {name: value for name, value in vars(self).items() if value}

    def without(self, name: str) -> dict[str, str]:
        """The others."""
        return {each: value for each, value in self.values.items() if each != name}

    def wanted(self, viewer: Viewer, now: datetime) -> SessionFilter:
        """The sessions that the reader asks for and may see."""
        days = int(self.days) if self.days in dict(PERIODS) and self.days else None
        return SessionFilter(
            user_id=visible_user(viewer) or self.user or None,
            key_id=self.key or None,
            state=self.state if self.state in {"running", "failed"} else None,
            since=now - timedelta(days=days) if days else None,
            name=self.q.strip()[:_MOST_NAME] or None,
        )


@dataclass(frozen=True)
class SessionView:
    """A row of the list, or the head of a session's page.

    Attributes:
        title: its first words, or its name if the reader may not read them.
        state: how its state is drawn, and the word for it.
        may_read: whether the reader may read what was said.
    """

    title: str
    name: str
    path: str
    state: tuple[str, str]
    user: str
    user_id: str
    key_id: str | None
    key: str | None
    agents: Sequence[str]
    message_count: int
    created_at: datetime
    active_at: datetime
    credits: Decimal
    may_read: bool
    is_own: bool


def visible_user(viewer: Viewer) -> str | None:
    """Whose sessions the reader sees: of one user only, or of all if this is None."""
    return None if viewer.manages or not viewer.uses else viewer.user_id


def may_read(viewer: Viewer, user_id: str) -> bool:
    """Whether the reader may read what that user's sessions say: viewers see that they exist, and what they cost."""
    return viewer.manages or viewer.user_id == user_id


def view_of(row: SessionRow, viewer: Viewer) -> SessionView:
    """The session as the reader sees it."""
    is_readable = may_read(viewer, row.user_id)
    return SessionView(
        title=title_of(row.first_text, row.first_parts, row.message_count) if is_readable else row.public_id[:120],
        name=row.public_id,
        path=session_path(row.public_id, row.user_id),
        state=_state(row),
        user=row.email,
        user_id=row.user_id,
        key_id=row.api_key_id,
        key=row.key_name,
        agents=row.agents[:3],
        message_count=row.message_count,
        created_at=row.created_at,
        active_at=row.last_update_time,
        credits=row.credits,
        may_read=is_readable,
        is_own=viewer.user_id == row.user_id,
    )


def filter_words(query: SessionsQuery, users: Mapping[str, str], keys: Mapping[str, str]) -> list[tuple[str, str]]:
    """The filters that are set, each with words that say what it shows."""
    words = {
        "q": f"Name begins with {query.q[:40]}",
        "user": f"By {users.get(query.user, 'an unknown user')}",
        "key": f"With {keys.get(query.key, 'an unknown key')}",
        "state": dict(STATES).get(query.state, query.state),
        "days": dict(PERIODS).get(query.days, query.days),
    }
    return [(name, words[name]) for name in query.values]


def _state(row: SessionRow) -> tuple[str, str]:
    if row.is_running:
        return "busy", "Running"
    return ("bad", "Failed") if row.has_failed else ("wait", "Idle")
