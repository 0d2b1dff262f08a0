"""The pages of the ledger: the list, with one entry open beside it or none, and the open holds."""

from collections.abc import Sequence
from datetime import date, timedelta, tzinfo
from functools import partial
from itertools import groupby
from typing import Any

from fastapi import Request
from starlette.responses import Response

from app.admin.access import Viewer
from app.admin.credits import choice_queries, entry_queries, entry_view, queries
from app.admin.credits.choice_queries import Choices
from app.admin.credits.ledger_filter import LedgerFilter
from app.admin.credits.queries import Entry, Found
from app.admin.credits.scope import only_user_of
from app.admin.credits.walk_queries import SCANNED
from app.admin.errors import PageNotFoundError
from app.admin.filters import zone_of
from app.admin.paging import Page, page_of, read_position, seal_position
from app.admin.rendering import render
from app.core.clock import now
from app.core.database import Transaction
from app.credits import alerts, service

_PAGE_SIZE = 50
# Of the list beside an entry that was opened from its first page.
_FIRST_PAGE = "first"


async def show(request: Request, viewer: Viewer, tx: Transaction, *, reference: str | None = None) -> Response:
    """The list of entries, with one of them open if that is asked for.

    Raises:
        PageNotFoundError: the reader may see no such entry.
    """
    chosen, zone = LedgerFilter.read(request.query_params), zone_of(request.cookies.get("junis_zone"))
    only_user = only_user_of(viewer)
    entry = None if reference is None else await _find_entry(tx, viewer, reference)
    cursor = request.query_params.get("cursor")
    # An address of an entry alone, as one sends it: the list begins with it.
    newest = entry.id if entry and not cursor else None
    before = await _begin_of_page(tx, viewer, cursor)
    found = await queries.list_entries(
        tx, viewer.organization_id, chosen, size=_PAGE_SIZE, only_user=only_user, before=before, newest=newest
    )
    is_first = before is None and newest is None
    page = Page(found.entries, await _next_page(tx, viewer, found), is_first)
    return render(
        request,
        "credits/ledger.html",
        viewer,
        title=entry_view.title_of(entry) if entry else "Ledger",
        here="ledger",
        page=page,
        scanned=SCANNED if found.is_cut else None,
        days=_by_day(page.rows, zone),
        chosen=chosen,
        cursor=cursor if before else _FIRST_PAGE,
        is_own=only_user is not None,
        dates=_dates(chosen),
        day_words=partial(_day_words, today=now().astimezone(zone).date()),
        **await _above_the_list(tx, viewer),
        view=entry_view,
        opened=await _opened(tx, viewer, entry) if entry else None,
    )


async def _above_the_list(tx: Transaction, viewer: Viewer) -> dict[str, Any]:
    """What stands above the list, whatever is chosen: what may be chosen, the balance, the holds and the alerts."""
    choices = await choice_queries.read_choices(tx, viewer.organization_id, only_user_of(viewer))
    holds, held = await queries.count_holds(tx, viewer.organization_id, only_user=only_user_of(viewer))
    return {
        "choices": choices,
        "words_of": partial(_words_of, choices),
        "balance": await service.get_balance(tx, viewer.organization_id),
        "holds": holds,
        "held": held,
        "most_counted": queries.MOST_COUNTED,
        "alerts": await alerts.list_alerts(tx, viewer.organization_id),
    }


async def show_holds(request: Request, viewer: Viewer, tx: Transaction) -> Response:
    """The open holds, the newest first."""
    cursor = request.query_params.get("cursor")
    last = read_position(cursor, str)
    before = await queries.id_of_hold(tx, viewer.organization_id, str(last[0])) if last else None
    only_user = only_user_of(viewer)
    rows = await queries.list_holds(
        tx,
        viewer.organization_id,
        limit=_PAGE_SIZE + 1,
        before=before,
        only_user=only_user,
    )
    page = page_of(rows, _PAGE_SIZE, lambda hold: [hold.reference], cursor=cursor if before else None)
    return render(
        request,
        "credits/holds.html",
        viewer,
        title="Open holds",
        here="ledger",
        page=page,
        view=entry_view,
        is_own=only_user is not None,
    )


async def _find_entry(tx: Transaction, viewer: Viewer, reference: str) -> Entry:
    entry = await queries.find_entry(tx, viewer.organization_id, reference, only_user=only_user_of(viewer))
    if entry is None:
        raise PageNotFoundError
    return entry


async def _opened(tx: Transaction, viewer: Viewer, entry: Entry) -> dict[str, object]:
    lines = await entry_queries.list_lines(tx, viewer.organization_id, entry.id)
    return {
        "entry": entry,
        "lines": entry_view.lines_of(lines),
        "prices": entry_view.prices_of(lines),
        "hold": await entry_queries.find_hold(tx, viewer.organization_id, entry.reference),
    }


async def _next_page(tx: Transaction, viewer: Viewer, found: Found) -> str | None:
    """The cursor of the next page: the reference of the entry with which it begins."""
    if found.next is None:
        return None
    first = await queries.first_below(tx, viewer.organization_id, found.next)
    return None if first is None else seal_position([first])


async def _begin_of_page(tx: Transaction, viewer: Viewer, cursor: str | None) -> int | None:
    """Below which id a page begins; None for the first page."""
    position = read_position(cursor, str)
    first = await queries.id_of_entry(tx, viewer.organization_id, str(position[0])) if position else None
    return None if first is None else first + 1


def _by_day(rows: Sequence[Entry], zone: tzinfo) -> list[tuple[date, list[Entry]]]:
    """The entries under the days of the reader's zone, as the times beside them are."""
    days = groupby(rows, key=lambda entry: entry.created_at.astimezone(zone).date())
    return [(day, list(entries)) for day, entries in days]


def _day_words(day: date, today: date) -> str:
    words = f"{day.day} {day:%B}" + (f" {day.year}" if day.year != today.year else "")
    if day == today:
        return f"Today, {words}"
    return f"Yesterday, {words}" if day == today - timedelta(days=1) else words


def _dates(chosen: LedgerFilter) -> str:
    """The days of the filter, in words."""
    if chosen.first and chosen.first == chosen.last:
        return f"{chosen.first}"
    if chosen.first and chosen.last:
        return f"{chosen.first} to {chosen.last}"
    return f"from {chosen.first}" if chosen.first else f"until {chosen.last}"


def _words_of(choices: Choices, name: str, value: str) -> str:
    """What the value of a filter is called."""
    return {**dict(choices.keys), **dict(choices.users)}.get(value, value) if name in {"key", "user"} else value
