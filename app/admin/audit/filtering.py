"""The filters of the log of changes, as they stand in the page's address."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from app.admin.access import Viewer
from app.admin.audit.queries import Wanted
from app.admin.audit.sentences import events_of

_MOST_TEXT = 200


@dataclass(frozen=True)
class Filters:
    """What the reader has asked for. Empty texts ask for anything; what makes no sense is taken for nothing.

    Attributes:
        q: the exact name or id of what changed, or the id of a request.
        who: a user's id, `command_line` or `server`.
        what: a group of events, or one event.
        since: the first day.
        until: the last day.
        organization: of operators: one organization.
    """

    q: str = ""
    who: str = ""
    what: str = ""
    since: date | None = None
    until: date | None = None
    organization: str = ""

    @property
    def query(self) -> Mapping[str, object]:
        """As the query of an address."""
        return {
            "q": self.q,
            "who": self.who,
            "what": self.what,
            "from": self.since,
            "to": self.until,
            "organization": self.organization,
        }

    @property
    def active(self) -> int:
        """How many are set."""
        return sum(bool(value) for value in self.query.values())

    def without(self, *names: str) -> Mapping[str, object]:
        """The query without some of the filters."""
        return {name: value for name, value in self.query.items() if name not in names}

    def wanted(self, viewer: Viewer, zone: tzinfo) -> Wanted:
        """The rows that the reader asks for, of those that the reader may see."""
        organization = (self.organization or None) if viewer.is_operator else viewer.organization_id
        return Wanted(
            organization_id=organization,
            actor=self.who or None,
            events=events_of(self.what) if self.what else None,
            text=self.q or None,
            since=_begin(self.since, zone),
            until=_begin(self.until + timedelta(days=1), zone) if self.until else None,
        )


def read_filters(query: Mapping[str, str], viewer: Viewer) -> Filters:
    """The filters of an address. Only operators choose the organization."""
    what = _text(query, "what")
    return Filters(
        q=_text(query, "q"),
        who=_text(query, "who"),
        what=what if events_of(what) else "",
        since=_day(query.get("from")),
        until=_day(query.get("to")),
        organization=_text(query, "organization") if viewer.is_operator else "",
    )


def _text(query: Mapping[str, str], name: str) -> str:
    return query.get(name, "").strip().replace("\0", "")[:_MOST_TEXT]


def _day(text: str | None) -> date | None:
    try:
        found = date.fromisoformat(text or "")
    except ValueError:
        return None
    # Outside of these, a day has no beginning in some time zones, or no next one.
    return found if 2000 <= found.year < 3000 else None


def _begin(day: date | None, zone: tzinfo) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), zone)
