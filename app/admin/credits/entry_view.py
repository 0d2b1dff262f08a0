"""What entries of the ledger are called on pages, and how their sums are shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.admin.credits.entry_queries import EntryHold, Line
from app.admin.credits.queries import Entry
from app.admin.filters import count, plain_money, quantity
from app.catalog.pricing import PriceTag
from app.credits.models import EntryKind, EventKind
from app.credits.references import LATE, SUPERSEDED

# So many lines of a charge are shown. The others are summed up in one.
MOST_LINES = 100
_TIMES = "\N{MULTIPLICATION SIGN}"

_CONTENT_NAMES = {"image": "Image", "video": "Video", "audio": "Audio", "glb": "3D model", "text": "Text"}
_KINDS = {EntryKind.CHARGE: "Charge", EntryKind.GRANT: "Grant", EntryKind.ADJUSTMENT: "Adjustment"}


@dataclass(frozen=True)
class EntryLine:
    """A line of an entry's sum: what it is, the quantities times the prices, and the credits."""

    label: str
    formula: str
    amount: Decimal
    note: str | None = None


def kind_of(entry: Entry) -> str:
    """The kind of an entry, in a word."""
    if entry.reference.startswith(f"{SUPERSEDED}:"):
        return "Given back"
    return _KINDS[EntryKind(entry.kind)]


def title_of(entry: Entry) -> str:
    """What an entry was for."""
    if entry.kind == EntryKind.GRANT:
        return f"Monthly grant, plan {entry.description}" if entry.reference.startswith("monthly:") else "Grant"
    if entry.reference.startswith(f"{SUPERSEDED}:"):
        return "Given back: the request was run again"
    if entry.kind == EntryKind.ADJUSTMENT:
        return f"Adjustment: {entry.description}"
    late = "Late charge: " if entry.reference.startswith(f"{LATE}:") else ""
    if entry.content_id is not None:
        what = content_name(entry)
    elif entry.session is not None:
        what = f"Turn in session {short_id(entry.session)}"
    else:
        what = "Turn" if entry.turn_id else entry.description or entry.reference
    return late + (what[:1].lower() + what[1:] if late else what)


def details_of(entry: Entry) -> str:
    """The small words below the title: by whom, with what."""
    if entry.kind != EntryKind.CHARGE:
        return _given_details(entry)
    parts = [entry.key_name or entry.user_email]
    if entry.content_id is not None or not entry.calls:
        parts.append(entry.model)
    else:
        parts.append(quantity(entry.calls, "model call"))
    if entry.is_estimated:
        parts.append("estimated")
    return " · ".join(part for part in parts if part)


def content_name(entry: Entry) -> str:
    """What the content of an entry is called: its type and the beginning of its id."""
    return f"{_CONTENT_NAMES.get(entry.content_type or '', 'Content')} {str(entry.content_id)[:8]}"


def short_id(name: str) -> str:
    """The beginning of an id that only machines read; a name that people have chosen stays whole."""
    return name[:8] if len(name) == 36 and name.count("-") == 4 else name


def lines_of(lines: Sequence[Line]) -> list[EntryLine]:
    """The lines of an entry. Their amounts add up to what the entry took."""
    numbers = {EventKind.MODEL_CALL: 0, EventKind.GENERATION: 0, None: 0}
    shown = []
    for line in lines[:MOST_LINES]:
        numbers[line.kind] += 1
        shown.append(EntryLine(_label(line, numbers[line.kind], lines), formula_of(line), line.amount, _note(line)))
    if rest := lines[MOST_LINES:]:
        total = sum((line.amount for line in rest), Decimal(0))
        shown.append(EntryLine(quantity(len(rest), "further call"), "", total))
    return shown


def formula_of(line: Line) -> str:
    """The quantities of a line times their prices."""
    price = line.price
    if price is None:
        return "Charged before calls were metered one by one"
    if line.kind is EventKind.GENERATION:
        return _generation_formula(line, price)
    if line.prompt_tokens is None and line.completion_tokens is None:
        return "Free: nothing was used"
    parts = [
        f"{count(line.prompt_tokens or 0)} in {_TIMES} {_short(price.per_million_prompt_tokens)}",
        f"{count(line.completion_tokens or 0)} out {_TIMES} {_short(price.per_million_completion_tokens)}",
    ]
    return _with_call(parts, price)


def prices_of(lines: Sequence[Line]) -> list[tuple[str, str, datetime]]:
    """The prices that were used: the model, what a unit is, and since when it was the price."""
    found = {}
    for line in lines:
        if line.price is not None and line.priced_at is not None:
            unit = "per million tokens" if line.kind is EventKind.MODEL_CALL else "per unit"
            found[line.price.id] = (line.price.model_name, unit, line.priced_at)
    return list(found.values())


def hold_lines_of(hold: EntryHold) -> list[tuple[str, Decimal]]:
    """What became of a hold. The last line is the sum of those before it."""
    charged = hold.charged or Decimal(0)
    lines = [("Charged", -charged)]
    if charged > hold.amount:
        return [*lines, ("Taken beyond the hold", hold.amount - charged)]
    return [*lines, ("Given back", hold.amount - charged)]


def _given_details(entry: Entry) -> str:
    monthly = entry.reference.startswith("monthly:")
    if monthly:
        return f"by itself · for {entry.reference.rpartition(':')[2]}"
    if entry.kind == EntryKind.GRANT:
        return " · ".join(part for part in (entry.description, entry.reference) if part)
    return entry.reference.partition(":")[2]


def _label(line: Line, number: int, lines: Sequence[Line]) -> str:
    if line.kind is None:
        return line.model or "Use"
    if line.kind is EventKind.GENERATION:
        return "Generation"
    models = {one.model for one in lines}
    return f"Model call {number}" + (f", {line.model}" if len(models) > 1 else "")


def _note(line: Line) -> str | None:
    if line.cost is not None and line.cost > line.amount:
        return f"cost {plain_money(line.cost)}, but no more was available"
    return "estimated: the vendor reported nothing" if line.is_estimated else None


def _generation_formula(line: Line, price: PriceTag) -> str:
    if line.outputs is None and line.predict_time is None:
        return "Free: nothing was used"
    parts = []
    if price.per_output:
        parts.append(f"{quantity(line.outputs or 0, 'file')} {_TIMES} {_short(price.per_output)}")
    if price.per_second and line.predict_time is not None:
        parts.append(f"{_short(line.predict_time)} s {_TIMES} {_short(price.per_second)}")
    text = _with_call(parts, price)
    if line.is_estimated or (price.ceiling is not None and line.cost == price.ceiling):
        return f"{text or 'Time not reported'}, at most {_short(price.ceiling or Decimal(0))}"
    return text or "Free"


def _with_call(parts: list[str], price: PriceTag) -> str:
    return " + ".join([*parts, *([f"1 call {_TIMES} {_short(price.per_call)}"] if price.per_call else [])])


def _short(value: Decimal) -> str:
    """A number without zeros at its end, but with two decimals if it has any."""
    text = f"{value:,f}"
    if "." not in text:
        return text
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction:0<2}" if fraction else whole
