"""The page of usage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from app.admin import charts_days, rendering
from app.admin.access import Viewer
from app.admin.credits import choice_queries, period, usage_view
from app.admin.credits.scope import only_user_of
from app.admin.forms import Form
from app.api_keys import service as api_keys
from app.core.clock import moment_of
from app.core.database import Transaction
from app.credits import alerts, spend_days
from app.credits.alerts import MOST_ALERTS
from app.credits.spend_days import Spend, SpendOfDay, Split

# So many names are told apart in the table. The others are one row.
_MOST_NAMES = 50
_MOST_PICKED = 50


@dataclass(frozen=True)
class Chosen:
    """What a request for usage asks for.

    Attributes:
        period: the days.
        name: how they are told apart, as addresses say it.
        split: the same.
        label: the same in words.
        picked: what is compared; nothing for all.
    """

    period: period.Period
    name: str
    split: Split
    label: str
    picked: Sequence[str]


def read_chosen(request: Request, viewer: Viewer, today: date) -> Chosen:
    """What the query asks for; the usual in place of what makes no sense."""
    query = request.query_params
    name, (split, label) = _split(query.get("split", ""), viewer)
    picked = [pick for pick in query.getlist("pick") if "\0" not in pick][:_MOST_PICKED]
    return Chosen(period.read_period(query.get("period", ""), today), name, split, label, picked)


async def read_days(tx: Transaction, viewer: Viewer, chosen: Chosen, *, most: int) -> Sequence[SpendOfDay]:
    """What was spent, by day and name: of the largest names at most so many, and the sum of the others."""
    return await spend_days.spend_by_day(
        tx,
        viewer.organization_id,
        chosen.split,
        first=chosen.period.first,
        last=chosen.period.last,
        most=most,
        user_id=only_user_of(viewer),
        picked=chosen.picked,
    )


async def read_names(tx: Transaction, viewer: Viewer, split: Split, found: Sequence[SpendOfDay]) -> Mapping[str, str]:
    """What the ids in it are called."""
    ids = sorted({one.name for one in found if one.name})
    if split is Split.KEY:
        return await api_keys.name_keys(tx, viewer.organization_id, ids)
    return await choice_queries.name_users(tx, ids) if split is Split.USER else {}


async def show(
    request: Request, viewer: Viewer, tx: Transaction, *, sends_mail: bool, form: Form | None = None
) -> Response:
    """What was spent in a period.

    Args:
        request: the request, whose query says which period, how it is told apart, and what is compared.
        viewer: who looks.
        tx: the transaction.
        sends_mail: whether mail is set up.
        form: the form of a new alert that was refused.
    """
    today = (await moment_of(tx)).astimezone(UTC).date()
    chosen = read_chosen(request, viewer, today)
    found = await read_days(tx, viewer, chosen, most=_MOST_NAMES)
    usage = usage_view.usage_of(found, chosen.period, chosen.split, await read_names(tx, viewer, chosen.split, found))
    return rendering.render(
        request,
        "credits/usage.html",
        viewer,
        title="Usage",
        here="usage",
        status=422 if form else 200,
        period=chosen.period,
        periods=period.choices(today),
        split=chosen.name,
        splits=[(key, words) for key, (_, words) in usage_view.SPLITS.items() if _may_split(key, viewer)],
        label=chosen.label,
        picked=chosen.picked,
        usage=usage,
        **await _sums(tx, viewer, chosen.period),
        chart=_chart(chosen, usage),
        spark=charts_days.spark,
        address=partial(_address, chosen),
        is_own=only_user_of(viewer) is not None,
        alerts=await alerts.list_alerts(tx, viewer.organization_id),
        most_alerts=MOST_ALERTS,
        sends_mail=sends_mail,
        form=form or Form(),
    )


async def _sums(tx: Transaction, viewer: Viewer, shown: period.Period) -> dict[str, Any]:
    """What stands above the chart: the sum of the period, what that is a day, what it means, and if it is whole."""
    total = await _total(tx, viewer, shown.first, shown.last)
    before = await _total(tx, viewer, *shown.before)
    a_day = (total.amount / len(shown.days)).quantize(Decimal("0.000001"))
    return {
        "total": total,
        "a_day": a_day,
        "compared": usage_view.compared(total.amount, before.amount, f"{len(shown.days)} days"),
        "lasting": usage_view.lasting(viewer.available, a_day),
        "is_summing_up": await spend_days.is_summing_up(tx, viewer.organization_id),
    }


async def _total(tx: Transaction, viewer: Viewer, first: date, last: date) -> Spend:
    return await spend_days.total_spend(
        tx, viewer.organization_id, first=first, last=last, user_id=only_user_of(viewer)
    )


def _chart(chosen: Chosen, usage: usage_view.Usage) -> charts_days.DayChart:
    # Entries are found by one key, agent, model or user at a time.
    one = {chosen.name: chosen.picked[0]} if len(chosen.picked) == 1 else {}
    return charts_days.stacked_days(
        chosen.period.days,
        usage.series,
        unit="credits",
        href=lambda day: rendering.url("ledger", kind="charge", first=day, last=day, **one),
    )


def _split(name: str, viewer: Viewer) -> tuple[str, tuple[Split, str]]:
    name = name if name in usage_view.SPLITS and _may_split(name, viewer) else "model"
    return name, usage_view.SPLITS[name]


def _may_split(name: str, viewer: Viewer) -> bool:
    """Members see their own spending, which is that of one user."""
    return name != "user" or only_user_of(viewer) is None


def _address(chosen: Chosen, path: str = "usage", **changed: str | Sequence[str]) -> str:
    """The address of this page, or of its file, with some of the choices changed."""
    picks = changed.pop("pick", chosen.picked)
    pairs = {"split": chosen.name, "period": chosen.period.name, **changed}
    return f"{rendering.url(path)}?{urlencode([*pairs.items(), *(('pick', pick) for pick in picks)])}"
