"""The usage of a period as a file: a line for each day and each name that it is told apart by."""

from collections.abc import Mapping, Sequence
from datetime import UTC

from fastapi import Request
from starlette.responses import Response

from app.admin.access import Viewer
from app.admin.credits import usage_page, usage_view
from app.admin.credits.export import csv_lines
from app.admin.credits.usage_page import Chosen
from app.core.clock import moment_of
from app.core.database import Transaction
from app.credits.spend_days import SpendOfDay

# Of a day. What all others spent is one line.
_MOST_NAMES = 1000
_SUMS = ("calls", "prompt_tokens", "completion_tokens", "generation_seconds", "files", "credits")


async def csv_export(request: Request, viewer: Viewer, tx: Transaction) -> Response:
    """What the page of the same query shows, as CSV (RFC 4180) with exact credits and a line of names first."""
    chosen = usage_page.read_chosen(request, viewer, (await moment_of(tx)).astimezone(UTC).date())
    found = await usage_page.read_days(tx, viewer, chosen, most=_MOST_NAMES)
    names = await usage_page.read_names(tx, viewer, chosen.split, found)
    head = ["day", chosen.name, "name", *_SUMS]
    lines = [_line(one, chosen, names) for one in sorted(found, key=lambda one: (one.day, -one.spend.amount))]
    file = f"usage-{chosen.period.first}-{chosen.period.last}.csv"
    return Response(
        csv_lines([head, *lines]),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{file}"'},
    )


def _line(one: SpendOfDay, chosen: Chosen, names: Mapping[str, str]) -> Sequence[object]:
    spend = one.spend
    return [
        one.day,
        one.name,
        usage_view.name_of(one.name, one.others, chosen.split, names),
        spend.calls,
        spend.prompt_tokens,
        spend.completion_tokens,
        spend.predict_time,
        spend.outputs,
        spend.amount,
    ]
