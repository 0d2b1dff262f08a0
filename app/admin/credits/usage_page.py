"""The page of usage."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from decimal import Decimal
from functools import partial
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from app.admin import charts_days, rendering
from app.admin.access import Viewer
from app.admin.credits import choice_queries, period, usage_view
from app.admin.credits.scope import only_user_of
from app.admin.forms import Form
from app.core.clock import moment_of
from app.core.database import Transaction
from app.credits import alerts, spend_days
from app.credits.alerts import MOST_ALERTS
from app.credits.spend_days import Spend, SpendOfDay, Split

# So many names are told apart in the table. The others are one row.
_MOST_NAMES = 50
_MOST_PICKED = 50


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
    shown = period.read_period(request.query_params.get("period", ""), today)
    name, (split, label) = _split(request.query_params.get("split", ""), viewer)
    picked = [pick for pick in request.query_params.getlist("pick") if "\0" not in pick][:_MOST_PICKED]
    usage = await _usage(tx, viewer, shown, split, picked)
    total = await _total(tx, viewer, shown.first, shown.last)
    before = await _total(tx, viewer, *shown.before)
    a_day = (total.amount / len(shown.days)).quantize(Decimal("0.000001"))
    address = partial(_address, {"split": name, "period": shown.name}, picked)
    return rendering.render(
        request,
        "credits/usage.html",
        viewer,
        title="Usage",
        here="usage",
        status=422 if form else 200,
        period=shown,
        periods=period.choices(today),
        split=name,
        splits=[(key, words) for key, (_, words) in usage_view.SPLITS.items() if _may_split(key, viewer)],
        label=label,
        picked=picked,
        usage=usage,
        total=total,
        a_day=a_day,
        compared=usage_view.compared(total.amount, before.amount, f"{len(shown.days)} days"),
        lasting=usage_view.lasting(viewer.available, a_day),
        chart=_chart(shown, usage, name, picked),
        spark=charts_days.spark,
        address=address,
        is_own=only_user_of(viewer) is not None,
        is_summing_up=await spend_days.is_summing_up(tx, viewer.organization_id),
        alerts=await alerts.list_alerts(tx, viewer.organization_id),
        most_alerts=MOST_ALERTS,
        sends_mail=sends_mail,
        form=form or Form(),
    )


async def _usage(
    tx: Transaction, viewer: Viewer, shown: period.Period, split: Split, picked: Sequence[str]
) -> usage_view.Usage:
    found = await spend_days.spend_by_day(
        tx,
        viewer.organization_id,
        split,
        first=shown.first,
        last=shown.last,
        most=_MOST_NAMES,
        user_id=only_user_of(viewer),
        picked=picked,
    )
    return usage_view.usage_of(found, shown, split, await _names(tx, viewer, split, found))


async def _total(tx: Transaction, viewer: Viewer, first: date, last: date) -> Spend:
    return await spend_days.total_spend(
        tx, viewer.organization_id, first=first, last=last, user_id=only_user_of(viewer)
    )


def _chart(shown: period.Period, usage: usage_view.Usage, split: str, picked: Sequence[str]) -> charts_days.DayChart:
    # Entries are found by one key, agent, model or user at a time.
    one = {split: picked[0]} if len(picked) == 1 else {}
    return charts_days.stacked_days(
        shown.days,
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


async def _names(tx: Transaction, viewer: Viewer, split: Split, found: Sequence[SpendOfDay]) -> Mapping[str, str]:
    ids = sorted({one.name for one in found if one.name})
    if split is Split.KEY:
        return await choice_queries.name_keys(tx, viewer.organization_id, ids)
    return await choice_queries.name_users(tx, ids) if split is Split.USER else {}


def _address(chosen: Mapping[str, str], picked: Sequence[str], **changed: str | Sequence[str]) -> str:
    """The page's own address with some of its choices changed."""
    picks = changed.pop("pick", picked)
    query = [*{**chosen, **changed}.items(), *(("pick", pick) for pick in picks)]
    return f"{rendering.url('usage')}?{urlencode(query)}"
