"""Which entries of a ledger are shown, as it stands in a page's address and in its SQL."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date

from app.credits.models import EntryKind
from app.credits.references import LATE, generation_reference_sql, turn_reference

_GENERATION = generation_reference_sql("c.id", "n")
_Parameter = Callable[[object], str]


@dataclass(frozen=True)
class LedgerFilter:
    """What an entry must have to be shown. Days are in UTC, both included; None: anything.

    Attributes:
        search: the id of a request, session, turn, content or entry.
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

    def sql(self, organization_id: str, only_user: str | None) -> tuple[str, str, list[object]]:
        """The filter in SQL.

        Args:
            organization_id: whose entries.
            only_user: only what this user has spent; None: everything.

        Returns:
            A join with what was searched for, the condition on a row `l` of `ledger_entries`, and the parameters.
        """
        values: list[object] = [organization_id]

        def parameter(value: object) -> str:
            values.append(value)
            return f"${len(values)}"

        conditions = ["l.organization_id = $1"]
        columns = {"kind": self.kind, "api_key_id": self.key, "agent": self.agent, "model": self.model}
        columns["user_id"] = only_user or self.user
        conditions += [f"l.{name} = {parameter(value)}" for name, value in columns.items() if value is not None]
        if only_user is not None and self.user not in {None, only_user}:
            conditions.append("false")
        if self.kind is not None and self.kind != EntryKind.CHARGE:
            # So that the index of the few entries that are no charges is used.
            conditions.append(f"l.kind <> '{EntryKind.CHARGE}'")
        if self.first is not None:
            conditions.append(f"l.created_at >= {parameter(self.first)}::date::timestamp AT TIME ZONE 'UTC'")
        if self.last is not None:
            conditions.append(f"l.created_at < ({parameter(self.last)}::date + 1)::timestamp AT TIME ZONE 'UTC'")
        join = f"JOIN ({_found(self.search, parameter)}) found ON found.id = l.id" if self.search else ""
        return join, " AND ".join(conditions), values


def _found(search: str, parameter: _Parameter) -> str:
    """A query of the ids of the entries that are about what was searched for, each part of it by an index."""
    text = parameter(search)
    entries = "SELECT id FROM ledger_entries WHERE organization_id = $1 AND"
    parts = [
        f"{entries} request_id = {text}",
        f"{entries} reference IN ({text}, {parameter(turn_reference(search))})",
        f"{entries} session_id IN (SELECT id FROM sessions WHERE organization_id = $1 AND public_id = {text})",
    ]
    if search.isascii() and search.isdigit() and len(search) < 19:
        parts.append(f"{entries} id = {parameter(int(search))}")
    if (content_id := _uuid(search)) is not None:
        content = parameter(content_id)
        parts.append(f"{entries} session_id = {content}")
        parts.append(f"""{entries} reference IN (
            SELECT unnest(ARRAY[{_GENERATION}, '{LATE}:' || {_GENERATION}])
            FROM generations c CROSS JOIN LATERAL generate_series(0, c.retry_count) n
            WHERE c.id = {content} AND c.organization_id = $1)""")
    return " UNION ".join(parts)


def _text(value: str | None) -> str | None:
    text = (value or "").strip().replace("\0", "")
    return text[:200] or None


def _day(value: str | None) -> date | None:
    try:
        return date.fromisoformat(value or "")
    except ValueError:
        return None


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
