"""The form of a key: what it shows at first, and what was typed as a request."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from app.admin.filters import count, short_money
from app.admin.forms import Form
from app.admin.keys.queries import KeyRow, PlanLimits
from app.api_keys.key_request import (
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    MOST_PER_HOUR,
    MOST_PER_MINUTE,
    KeyChanges,
    KeyRequest,
    OwnLimits,
    most_own_limits,
)
from app.api_keys.scopes import DEFAULT_SCOPES, parse_scopes
from app.api_keys.service import DEFAULT_OVERLAP
from app.catalog.pricing import SIX_DECIMALS

_KEPT: Final = "kept"
_NEVER: Final = "never"
_NEVER_AS_NOW: Final = "Never, as now"
_ON_A_DAY: Final = "day"
_DAYS: Final = (30, 90)
_LAST_YEAR: Final = 2199
# By hours.
_OVERLAPS: Final = {"0": "Not at all, it ends now", "1": "1 hour", "24": "24 hours", "168": "7 days"}
_DEFAULT_OVERLAP: Final = str(DEFAULT_OVERLAP // timedelta(hours=1))


def new_form() -> Form:
    """The form of a new key: the default scopes are ticked, and it never expires."""
    return Form.of({"scope": [scope.value for scope in DEFAULT_SCOPES], "expires": _NEVER})


def form_of(key: KeyRow) -> Form:
    """The form that changes a key."""
    return Form.of({"name": key.name, "description": key.description, "scope": key.scopes, "expires": _KEPT})


def limits_form_of(key: KeyRow) -> Form:
    """The form that changes the limits of a key."""
    return Form.of(
        {
            "rpm": key.requests_per_minute or "",
            "rph": key.requests_per_hour or "",
            "cap": short_money(key.monthly_credits) if key.monthly_credits else "",
        }
    )


def overlap_form() -> Form:
    """The form that rotates a key: the old one works for a day."""
    return Form.of({"overlap": _DEFAULT_OVERLAP})


def overlap_choices() -> Sequence[tuple[str, str]]:
    """For how many hours the old key may go on working."""
    return list(_OVERLAPS.items())


def read_overlap(form: Form) -> timedelta:
    """How long the old key is to go on working. Another time than those that are offered is noted in the form."""
    hours = form.one_of("overlap", list(_OVERLAPS))
    return timedelta(hours=int(hours)) if hours in _OVERLAPS else timedelta()


def kept_words(key: KeyRow) -> str:
    """What the choice says that leaves a key's expiry as it is."""
    if key.expires_at is None:
        return _NEVER_AS_NOW
    return f"As now, on {_in_words(key.expires_at.date())} at {key.expires_at:%H:%M} UTC"


def expiry_choices(at: datetime, *, kept: str | None = None) -> Sequence[tuple[str, str]]:
    """What may be chosen for when a key expires. `kept` says when it does so far, if it exists already."""
    return [
        *([(_KEPT, kept)] if kept else []),
        *([(_NEVER, "Never")] if kept != _NEVER_AS_NOW else []),
        *((str(days), f"In {days} days, on {_in_words((at + timedelta(days=days)).date())}") for days in _DAYS),
        (_ON_A_DAY, "At the end of a day that I choose"),
    ]


def read_request(form: Form, plan: PlanLimits, at: datetime) -> KeyRequest:
    """The key that the form asks for. What cannot be is noted in the form."""
    limits = read_limits(form, plan)
    return KeyRequest(
        name=form.text("name", most=LONGEST_NAME, label="A name"),
        description=_description(form),
        scopes=_scopes(form),
        expires_at=_expiry(form, at),
        requests_per_minute=limits.get("requests_per_minute"),
        requests_per_hour=limits.get("requests_per_hour"),
        monthly_credits=limits.get("monthly_credits"),
    )


def read_changes(form: Form, key: KeyRow, at: datetime) -> KeyChanges:
    """What the form changes of a key. What cannot be is noted in the form."""
    return KeyChanges(
        name=form.text("name", most=LONGEST_NAME, label="A name"),
        description=_description(form),
        scopes=_scopes(form),
        expires_at=_expiry(form, at, exists=True, former=key.expires_at),
    )


def read_limits(form: Form, plan: PlanLimits) -> KeyChanges:
    """The limits of its own that the form gives a key. Limits above those of the plan are noted in the form."""
    most = most_own_limits(plan.requests_per_minute)
    _explain_plan(form, plan, most)
    return KeyChanges(
        requests_per_minute=form.whole("rpm", least=1, most=most.requests_per_minute, is_optional=True),
        requests_per_hour=form.whole("rph", least=1, most=most.requests_per_hour, is_optional=True),
        monthly_credits=form.decimal("cap", least=SIX_DECIMALS, is_optional=True),
    )


def _explain_plan(form: Form, plan: PlanLimits, most: OwnLimits) -> None:
    """Say why a limit is too high, before the form says only that it is."""
    minute, hour = count(most.requests_per_minute), count(most.requests_per_hour)
    allowed = f"Your plan allows {count(plan.requests_per_minute)}"
    if _is_above(form, "rpm", most.requests_per_minute):
        is_plans = most.requests_per_minute < MOST_PER_MINUTE
        form.error("rpm", f"{allowed if is_plans else f'A limit of its own is {minute} at most'}. Enter 1 to {minute}.")
    if _is_above(form, "rph", most.requests_per_hour):
        is_plans = most.requests_per_hour < MOST_PER_HOUR
        why = f"{allowed} a minute, which is {hour} an hour" if is_plans else f"A limit of its own is {hour} at most"
        form.error("rph", f"{why}. Enter 1 to {hour}.")


def _is_above(form: Form, name: str, most: int) -> bool:
    text = form.value(name).strip().replace(",", "")
    return text.isascii() and text.isdigit() and len(text) < 19 and int(text) > most


def _description(form: Form) -> str:
    return form.text("description", most=LONGEST_DESCRIPTION, is_optional=True, label="A description")


def _scopes(form: Form) -> Sequence[str]:
    names = form.texts("scope")
    if not names:
        form.error("scope", "Tick at least one scope.")
    scopes: list[str] = []
    with form.refusing("scope"):
        scopes += parse_scopes(names)
    return scopes


def _expiry(form: Form, at: datetime, *, exists: bool = False, former: datetime | None = None) -> datetime | None:
    chosen = form.one_of("expires", [*([_KEPT] if exists else []), _NEVER, *map(str, _DAYS), _ON_A_DAY])
    if chosen == _KEPT:
        return former
    if chosen == _ON_A_DAY:
        return _end_of(form, at)
    return at + timedelta(days=int(chosen)) if chosen.isdigit() else None


def _end_of(form: Form, at: datetime) -> datetime | None:
    """The end of the day that was chosen, in UTC."""
    try:
        day = date.fromisoformat(form.value("expires_on").strip())
    except ValueError:
        form.error("expires_on", "Enter a day, such as 2027-02-26.")
        return None
    if not at.date() <= day or day.year > _LAST_YEAR:
        form.error("expires_on", f"Enter a day from today to the end of {_LAST_YEAR}.")
        return None
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def _in_words(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
