"""How values are written on pages: credits, moments, sizes, durations, counts."""

from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup, escape

_PLACES = Decimal("0.000001")
_MINUS = "\N{MINUS SIGN}"
_KILO = 1000


def money(amount: Decimal, *, sign: bool = False) -> Markup:
    """Credits with six decimals. The zeros at the end are faint, so that 0.04 and 0.040001 differ at a glance.

    Args:
        amount: the credits.
        sign: whether what comes in has a plus.
    """
    exact = amount.quantize(_PLACES)
    whole, _, fraction = f"{abs(exact):,.6f}".partition(".")
    kept = fraction.rstrip("0")
    faint = fraction[len(kept) :]
    before = _MINUS if exact < 0 else "+" if sign and exact > 0 else ""
    if kept:
        return Markup('<span class="m">{}{}.{}{}</span>').format(before, whole, kept, _faint(faint))
    return Markup('<span class="m">{}{}{}</span>').format(before, whole, _faint(f".{faint}"))


def _faint(zeros: str) -> Markup:
    return Markup("<i>{}</i>").format(zeros) if zeros else Markup()


def plain_money(amount: Decimal) -> str:
    """The same without markup, for titles and SVG."""
    return f"{amount.quantize(_PLACES):,.6f}".replace("-", _MINUS)


def short_money(amount: Decimal) -> str:
    """Credits as one types them, without zeros at the end."""
    return f"{amount.normalize():,f}"


def zone_of(name: str | None) -> tzinfo:
    """The time zone with an IANA name such as `Europe/Berlin`, or UTC if there is none of that name."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def moment(at: datetime, zone: tzinfo, now: datetime) -> str:
    """A moment in the reader's zone, such as `28 Nov, 14:02` or, in another year, `28 Nov 2025, 14:02`."""
    local = at.astimezone(zone)
    year = "" if local.year == now.astimezone(zone).year else f" {local.year}"
    return f"{local.day} {local:%b}{year}, {local:%H:%M}"


def utc(at: datetime) -> str:
    """The moment in UTC to the second: what stands in the title of a time."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(at: datetime, zone: tzinfo, now: datetime) -> str:
    """How long ago a moment was: `12 seconds ago`, `Today, 14:02`, `Yesterday, 23:10`, or the moment itself."""
    passed = now - at
    if timedelta() <= passed < timedelta(hours=1):
        return _short_ago(passed)
    local, today = at.astimezone(zone), now.astimezone(zone)
    days = (today.date() - local.date()).days
    if days == 0:
        return f"Today, {local:%H:%M}"
    if days == 1:
        return f"Yesterday, {local:%H:%M}"
    if days == -1:
        return f"Tomorrow, {local:%H:%M}"
    return moment(at, zone, now)


def _short_ago(passed: timedelta) -> str:
    seconds = int(passed.total_seconds())
    if seconds < 60:
        return "Just now" if seconds < 2 else f"{seconds} seconds ago"
    minutes = seconds // 60
    return "1 minute ago" if minutes == 1 else f"{minutes} minutes ago"


def size(number: int) -> str:
    """A file's size in powers of 1000, such as `1.4 MB`."""
    if number < _KILO:
        return f"{number} B"
    value = float(number)
    for unit in ("kB", "MB", "GB"):
        value /= _KILO
        if round(value, 1) < _KILO:
            return f"{value:.1f} {unit}"
    return f"{value / _KILO:.1f} TB"


def duration(seconds: float) -> str:
    """A duration such as `840 ms`, `12.4 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(number: int) -> str:
    """A whole number with a comma before each three digits."""
    return f"{number:,}".replace("-", _MINUS)


def quantity(number: int, one: str, several: str | None = None) -> str:
    """A number and its word: `1 key`, `3 keys`."""
    return f"{count(number)} {one if number == 1 else several or one + 's'}"


def join_lines(text: str) -> Markup:
    """Text with its line breaks."""
    return Markup("<br>").join(escape(line) for line in text.split("\n"))
