"""Which entries of a ledger are shown, as it stands in a page's address."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date

from app.chat.responses.output import turn_id_of
from app.credits.models import EntryKind


@dataclass(frozen=True)
class LedgerFilter:
    """What an entry must have to be shown. Days are in UTC, both included; None: anything.

    Attributes:
        search: the id of a request, session, turn, response or content, or the reference of an entry.
        user: the id of the user who has spent.
        key: the id of an API key.
    """

    search: str | None = None
    kind: str | None = None
    key: str | None = None
    agent: str | None = None
    model: str | None = None
    user: str | None = None
    first: date | None = None
    last: date | None = None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "LedgerFilter":
        """The filter in the query of an address. What it does not understand is left out."""
        kind = query.get("kind", "")
        texts = {name: _text(query.get(name)) for name in ("search", "key", "agent", "model", "user")}
        # A response is found by the turn that has made it.
        if texts["search"] and (turn_id := turn_id_of(texts["search"])):
            texts["search"] = turn_id
        return cls(
            **texts,
            kind=kind if kind in set(EntryKind) else None,
            first=_day(query.get("first")),
            last=_day(query.get("last")),
        )

    @property
    def query(self) -> dict[str, str]:
        """The filter as the query of an address."""
        return {one.name: str(value) for one in fields(self) if (value := getattr(self, one.name)) is not None}

    @property
    def count(self) -> int:
        """How many of the choices beside the search field are set."""
        return len([name for name in self.query if name not in {"search", "first", "last"}]) + bool(
            self.first or self.last
        )

    def without(self, *names: str) -> dict[str, str]:
        """The query without some of the choices."""
        return {name: value for name, value in self.query.items() if name not in names}


def _text(value: str | None) -> str | None:
    text = (value or "").strip().replace("\0", "")
    return text[:200] or None


def _day(value: str | None) -> date | None:
    try:
        return date.fromisoformat(value or "")
    except ValueError:
        return None
