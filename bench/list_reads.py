"""Every list whose time is measured, read by the product's own functions."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

from app.admin.content import queries as content_pages
from app.admin.content.queries import Wanted
from app.admin.credits import queries as ledger_pages
from app.admin.credits.ledger_filter import LedgerFilter
from app.admin.sessions import list_queries as session_pages
from app.admin.sessions.list_queries import SessionFilter
from app.content import service as content
from app.content.repository import ContentFilter
from app.core.database import Transaction
from app.credits import spend_days
from app.credits.spend_days import Split
from app.generations.media_types import ContentType
from app.generations.states import Status
from app.sessions import repository
from app.sessions.messages import MOST_BYTES_OF_A_PAGE
from bench.lists_rows import LONG_SESSION

Read = Callable[[Transaction], Awaitable[object]]

_FAR = 1000
_SIZES = (20, 100)
_FILTERS: Mapping[str, Mapping[str, str]] = {
    "": {},
    **{f", {status}": {"status": status.value} for status in Status},
    **{f", {kind}": {"content_type": kind.value} for kind in ContentType},
    ", completed and image": {"status": "completed", "content_type": "image"},
    ", failed and image": {"status": "failed", "content_type": "image"},
}


@dataclass(frozen=True)
class Reader:
    """An organization, two of its users, how many rows it has, its newest entry, and a day of some time ago."""

    organization_id: str
    user_id: str
    other_id: str
    rows: int
    newest_entry: int
    day: date


def reads(reader: Reader) -> dict[str, Read]:
    """What is measured, by its name."""
    return {
        **_of_content(reader),
        **_of_sessions(reader),
        **_of_console_content(reader),
        **_of_console_sessions(reader),
        **_of_ledger(reader),
        **_of_usage(reader),
    }


def _of_content(reader: Reader) -> dict[str, Read]:
    def read(filters: Mapping[str, str], page: int, size: int) -> Read:
        wanted = ContentFilter(reader.organization_id, **filters)
        return lambda tx: content.list_content(tx, wanted, page=page, page_size=size)

    found = {f"GET /content{name}": read(filters, 1, 20) for name, filters in _FILTERS.items()}
    for name, filters in _FILTERS.items():
        found |= {f"GET /content{name}, page 1,000 of {size}": read(filters, _FAR, size) for size in _SIZES}
    return found


def _of_sessions(reader: Reader) -> dict[str, Read]:
    owner = (reader.organization_id, reader.user_id)

    async def sessions(tx: Transaction, page: int, size: int) -> object:
        total = await repository.count_sessions(tx, *owner)
        offset = (page - 1) * size
        return total, offset < total and await repository.list_sessions(tx, *owner, offset=offset, limit=size)

    async def messages(tx: Transaction, page: int, size: int) -> object:
        session = await repository.find_session(tx, *owner, LONG_SESSION)
        assert session is not None  # noqa: S101 - it has been made
        offset = (page - 1) * size
        return await repository.list_messages(
            tx, session.id, offset=offset, limit=size, most_bytes=MOST_BYTES_OF_A_PAGE
        )

    found: dict[str, Read] = {}
    for name, read in (("GET /sessions", sessions), ("GET /sessions/{id}/messages", messages)):
        found[name] = partial(read, page=1, size=20)
        found |= {f"{name}, page 1,000 of {size}": partial(read, page=_FAR, size=size) for size in _SIZES}
    return found


def _of_console_content(reader: Reader) -> dict[str, Read]:
    wanted = {
        "": Wanted(reader.organization_id),
        ", failed": Wanted(reader.organization_id, status=Status.FAILED),
        ", a user's failed": Wanted(reader.organization_id, user_id=reader.other_id, status=Status.FAILED),
        ", glb": Wanted(reader.organization_id, content_type=ContentType.GLB),
        ", a user's glb": Wanted(reader.organization_id, user_id=reader.user_id, content_type=ContentType.GLB),
        ", an agent": Wanted(reader.organization_id, agent="agent-1"),
        ", a key": Wanted(reader.organization_id, key_id="key-list-1"),
        ", a key that is not there": Wanted(reader.organization_id, key_id="nothing"),
    }
    return {f"console, content{name}": partial(_content_page, wanted=one) for name, one in wanted.items()}


async def _content_page(tx: Transaction, wanted: Wanted) -> object:
    return await content_pages.list_content(tx, wanted, size=48)


def _of_console_sessions(reader: Reader) -> dict[str, Read]:
    filters = {
        "": SessionFilter(),
        ", a user": SessionFilter(user_id=reader.other_id),
        ", a key": SessionFilter(key_id="key-list-1"),
        ", failed": SessionFilter(state="failed"),
        ", running": SessionFilter(state="running"),
        ", a name": SessionFilter(name="list-5"),
        ", a name that is not there": SessionFilter(name="nothing"),
        ", the last week": SessionFilter(since=datetime.now(UTC) - timedelta(days=7)),
    }

    async def read(tx: Transaction, wanted: SessionFilter) -> object:
        return await session_pages.list_sessions(tx, reader.organization_id, wanted, size=25)

    return {f"console, sessions{name}": partial(read, wanted=one) for name, one in filters.items()}


def _of_ledger(reader: Reader) -> dict[str, Read]:
    filters = {
        "": LedgerFilter(),
        ", charges": LedgerFilter(kind="charge"),
        ", grants": LedgerFilter(kind="grant"),
        ", a key": LedgerFilter(key="key-list-1"),
        ", a key that is not there": LedgerFilter(key="nothing"),
        ", an agent": LedgerFilter(agent="agent-1"),
        ", a model that is seldom used": LedgerFilter(model="seldom"),
        ", a user": LedgerFilter(user=reader.other_id),
        ", a day": LedgerFilter(first=reader.day, last=reader.day),
        ", a key on a day": LedgerFilter(key="key-list-1", first=reader.day, last=reader.day),
        ", a request": LedgerFilter(search=f"request-{reader.rows - 5}"),
        ", a session": LedgerFilter(search=f"list-{reader.rows - 5}"),
    }

    async def read(tx: Transaction, chosen: LedgerFilter) -> object:
        return await ledger_pages.list_entries(tx, reader.organization_id, chosen, size=50)

    async def far(tx: Transaction) -> object:
        before = reader.newest_entry - _FAR * 50
        return await ledger_pages.list_entries(tx, reader.organization_id, LedgerFilter(), size=50, before=before)

    found: dict[str, Read] = {f"console, ledger{name}": partial(read, chosen=one) for name, one in filters.items()}
    found["console, ledger, page 1,000 of 50"] = far
    found["console, ledger, open holds"] = lambda tx: ledger_pages.count_holds(tx, reader.organization_id)
    return found


def _of_usage(reader: Reader) -> dict[str, Read]:
    last = datetime.now(UTC).date()

    async def by_day(tx: Transaction, split: Split, days: int) -> object:
        first = last - timedelta(days=days - 1)
        return await spend_days.spend_by_day(tx, reader.organization_id, split, first=first, last=last, most=50)

    async def total(tx: Transaction, days: int) -> object:
        return await spend_days.total_spend(tx, reader.organization_id, first=last - timedelta(days=days), last=last)

    return {
        "console, usage of 30 days by model": partial(by_day, split=Split.MODEL, days=30),
        "console, usage of 90 days by key": partial(by_day, split=Split.KEY, days=90),
        "console, sum of 30 days": partial(total, days=30),
    }
