"""What the pages of content read.

A list is walked along one index, newest first, and what the other filters leave out is passed over: at most `SCANNED`
rows a page, however many there are. The page then says how far it has looked, and the next one goes on from there.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

from asyncpg import Record

from app.core.database import Transaction
from app.generations.media_types import ContentType
from app.generations.states import Status

# How many rows one page looks through.
SCANNED = 2000
# How much of a prompt and of an error a list shows.
PROMPT_IN_LIST = 160
_MOST_CHOICES = 200

_CARD = f"""
g.id, g.status, g.content_type, g.model, left(g.prompt, {PROMPT_IN_LIST + 1}) AS prompt, g.retry_count, g.max_retries,
g.is_parked, g.prediction_id IS NOT NULL AS is_started, g.outcome IS NOT NULL AS is_finished, g.file_token,
g.credit_cost, left(g.error_message, {PROMPT_IN_LIST + 1}) AS error_message, g.created_at, g.completed_at,
o.storage_path, o.media_type
"""
_FIRST_OUTPUT = """
LEFT JOIN LATERAL (
    SELECT storage_path, media_type FROM outputs
    WHERE generation_id = g.id AND attempt = g.retry_count AND position = 0 AND size_bytes IS NOT NULL LIMIT 1
) o ON g.status = 'completed'
"""


@dataclass(frozen=True)
class Position:
    """Where a walk through the list continues: after this content."""

    created_at: datetime
    id: uuid.UUID


@dataclass(frozen=True)
class Wanted:
    """Which of an organization's contents a list shows. None: whatever it is.

    Attributes:
        organization_id: whose they are.
        user_id: only those of this user's keys and sessions.
        content_type: what they are; only completed ones have a type.
        status: their status.
        agent: the name of the agent that asked for them first.
        key_id: the key with which they were asked for first.
        since, until: created at or after, and before.
        after: where to continue.
    """

    organization_id: str
    user_id: str | None = None
    content_type: ContentType | None = None
    status: Status | None = None
    agent: str | None = None
    key_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: Position | None = None


@dataclass(frozen=True)
class Card:
    """What a list shows of a content. `prompt` and `error_message` are one character longer than shown if cut."""

    id: uuid.UUID
    status: Status
    content_type: ContentType | None
    model: str
    prompt: str
    retry_count: int
    max_retries: int
    is_parked: bool
    is_started: bool
    is_finished: bool
    file_token: str
    credit_cost: Decimal | None
    error_message: str | None
    created_at: datetime
    completed_at: datetime | None
    storage_path: str | None
    media_type: str | None

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The card in a row of a list."""
        values = dict(row)
        values["status"] = Status(values["status"])
        values["content_type"] = ContentType(values["content_type"]) if values["content_type"] else None
        return cls(**values)


@dataclass(frozen=True)
class Found:
    """One page of a list.

    Attributes:
        cards: what was found.
        next: where the next page begins; None if this is the last one.
        is_cut: whether there may be more although the page is not full, because enough rows were looked through.
    """

    cards: Sequence[Card]
    next: Position | None
    is_cut: bool = False


async def list_content(tx: Transaction, wanted: Wanted, *, size: int) -> Found:
    """One page of up to `size` contents, newest first."""
    if wanted.content_type is not None and wanted.status not in {None, Status.COMPLETED}:
        return Found((), None)
    walk = _Walk.of(wanted)
    scanned = SCANNED if walk.rest else size + 1
    rows = await tx.fetch(walk.page(scanned, size + 1), *walk.values)
    cards = [Card.from_row(row) for row in rows]
    if len(cards) > size:
        last = cards[size - 1]
        return Found(cards[:size], Position(last.created_at, last.id))
    row = await tx.fetchrow(walk.end(scanned), *walk.values[: walk.driving_values]) if walk.rest else None
    if row is None:
        return Found(cards, None)
    return Found(cards, Position(row["created_at"], row["id"]), is_cut=True)


async def find_cards(tx: Transaction, wanted: Wanted, content_ids: Sequence[uuid.UUID]) -> list[Card]:
    """Those of these contents that the organization, and the user if there is one, have."""
    rows = await tx.fetch(
        f"SELECT {_CARD} FROM generations g {_FIRST_OUTPUT} WHERE g.id = ANY ($1) AND g.organization_id = $2"
        " AND ($3::text IS NULL OR g.user_id = $3) ORDER BY g.created_at DESC, g.id DESC",
        list(content_ids),
        wanted.organization_id,
        wanted.user_id,
    )
    return [Card.from_row(row) for row in rows]


async def find_by_id(tx: Transaction, wanted: Wanted, words: str, *, size: int) -> list[Card]:
    """The contents whose id begins with `words`, or whose present or earlier prediction has that id."""
    condition, values = "g.id = (SELECT generation_id FROM attempts WHERE prediction_id = $3)", [words]
    if bounds := id_range(words):
        condition, values = "g.id BETWEEN $3::uuid AND $4::uuid", [str(bound) for bound in bounds]
    rows = await tx.fetch(
        f"SELECT {_CARD} FROM generations g {_FIRST_OUTPUT} WHERE {condition} AND g.organization_id = $1"
        f" AND ($2::text IS NULL OR g.user_id = $2) ORDER BY g.created_at DESC, g.id DESC LIMIT {size}",
        wanted.organization_id,
        wanted.user_id,
        *values,
    )
    return [Card.from_row(row) for row in rows]


def id_range(words: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """The smallest and the largest id that begins like `words`; None if no id does, or too many would."""
    digits = words.replace("-", "").lower()
    if not 4 <= len(digits) <= 32 or not set(digits) <= set("0123456789abcdef"):
        return None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))


class _Values:
    """The parameters of a statement, and the conditions that name them."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def __call__(self, left: str, *values: object) -> str:
        """A condition whose left side is compared with one value, or with a row of several."""
        self.values.extend(values)
        names = ", ".join(f"${number}" for number in range(len(self.values) - len(values) + 1, len(self.values) + 1))
        return f"{left} {names}" if len(values) == 1 else f"{left} ({names})"


# The filters that an index of attempts serves.
_OF_ATTEMPTS = ("key", "agent")


@dataclass(frozen=True)
class _Walk:
    """The statements of a list: an index to walk along, and what is passed over.

    `driving` are the conditions that the index serves, with the first `driving_values` of the parameters; `rest` are
    the others. `is_by_attempt`: the index is one of first attempts.
    """

    driving: tuple[str, ...]
    rest: tuple[str, ...]
    values: tuple[object, ...]
    driving_values: int
    is_by_attempt: bool

    @classmethod
    def of(cls, wanted: Wanted) -> Self:
        """The walk along the index that leaves the least to pass over."""
        value = _Values()
        given = _given(wanted, value)
        first = next((name for name in given if name != "status" or wanted.status is not Status.COMPLETED), None)
        is_by_attempt = first in _OF_ATTEMPTS
        driving = [value("organization_id =", wanted.organization_id), *_bounds(wanted, value, is_by_attempt)]
        if first is not None:
            driving.insert(1, given.pop(first)())
        driving_values = len(value.values)
        rest = [f"{'a' if name in _OF_ATTEMPTS else 'g'}.{condition()}" for name, condition in given.items()]
        return cls(tuple(driving), tuple(rest), tuple(value.values), driving_values, is_by_attempt)

    def page(self, scanned: int, limit: int) -> str:
        """Up to `limit` rows of the list, found among the first `scanned` of the index."""
        where = f"WHERE {' AND '.join(self.rest)}" if self.rest else ""
        if self.is_by_attempt:
            first = self._scan("generation_id, created_at, agent", scanned)
            source = f"({first}) a JOIN generations g ON g.id = a.generation_id"
            order = "a.created_at DESC, a.generation_id DESC"
        else:
            source, order = f"({self._scan('*', scanned)}) g", "g.created_at DESC, g.id DESC"
        return f"SELECT {_CARD} FROM {source} {_FIRST_OUTPUT} {where} ORDER BY {order} LIMIT {limit}"

    def end(self, scanned: int) -> str:
        """The last of the first `scanned` rows of the index; no row if it has fewer."""
        key = "generation_id" if self.is_by_attempt else "id"
        scan = self._scan(f"created_at, {key}", scanned)
        return f"SELECT created_at, {key} AS id FROM ({scan}) s ORDER BY 1 DESC, 2 DESC OFFSET {scanned - 1}"

    def _scan(self, columns: str, limit: int) -> str:
        table, key = ("attempts", "generation_id") if self.is_by_attempt else ("generations", "id")
        first = "number = 0 AND " if self.is_by_attempt else ""
        return (
            f"SELECT {columns} FROM {table} WHERE {first}{' AND '.join(self.driving)}"
            f" ORDER BY created_at DESC, {key} DESC LIMIT {limit}"
        )


def _given(wanted: Wanted, value: _Values) -> dict[str, Callable[[], str]]:
    """The filters that are set: what leaves the least to pass over comes first.

    Constants let Postgres see which partial index they imply.
    """
    conditions = {
        "key": wanted.key_id and (lambda: value("api_key_id =", wanted.key_id)),
        "agent": wanted.agent and (lambda: value("agent =", wanted.agent)),
        "status": wanted.status and (lambda: f"status = '{wanted.status}'"),
        "user": wanted.user_id and (lambda: value("user_id =", wanted.user_id)),
        "type": wanted.content_type and (lambda: f"content_type = '{wanted.content_type}'"),
    }
    return {name: condition for name, condition in conditions.items() if callable(condition)}


def _bounds(wanted: Wanted, value: _Values, is_by_attempt: bool) -> list[str]:
    """Where the walk begins and ends."""
    bounds = []
    if wanted.since is not None:
        bounds.append(value("created_at >=", wanted.since))
    if wanted.until is not None:
        bounds.append(value("created_at <", wanted.until))
    if wanted.after is not None:
        key = "generation_id" if is_by_attempt else "id"
        bounds.append(value(f"(created_at, {key}) <", wanted.after.created_at, wanted.after.id))
    return bounds


@dataclass(frozen=True)
class Choice:
    """A key or an agent that a list can be filtered by."""

    value: str
    words: str


async def list_agents(tx: Transaction, organization_id: str) -> list[Choice]:
    """The organization's agents by name."""
    rows = await tx.fetch(
        f"SELECT name FROM agents WHERE organization_id = $1 ORDER BY name LIMIT {_MOST_CHOICES}", organization_id
    )
    return [Choice(row["name"], row["name"]) for row in rows]


async def list_keys(tx: Transaction, organization_id: str, user_id: str | None) -> list[Choice]:
    """The organization's keys, or the user's, newest first."""
    rows = await tx.fetch(
        "SELECT id, name, prefix FROM api_keys WHERE organization_id = $1 AND ($2::text IS NULL OR user_id = $2)"
        f" ORDER BY created_at DESC, id LIMIT {_MOST_CHOICES}",
        organization_id,
        user_id,
    )
    return [Choice(row["id"], f"{row['name']} ({row['prefix']}…)") for row in rows]
