"""What the pages of the catalog say of models and prices."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Final

from app.admin.catalog.queries import ShownModel, ShownPrice, Use
from app.catalog.models import ModelKind
from app.catalog.pricing import UnitPrices

# For each what a price is paid, in words, and the units of each kind of model.
UNIT_WORDS: Final = {
    "per_call": "call",
    "per_second": "second it ran",
    "per_output": "file",
    "per_million_prompt_tokens": "million tokens in",
    "per_million_completion_tokens": "million tokens out",
}
UNITS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    ModelKind.CHAT: ("per_million_prompt_tokens", "per_million_completion_tokens", "per_call"),
    ModelKind.GENERATION: ("per_output", "per_second", "per_call"),
    ModelKind.EMBEDDING: ("per_million_prompt_tokens", "per_call"),
}
_MILLION: Final = Decimal(1_000_000)


@dataclass(frozen=True)
class Line:
    """One unit of a model's price: what it costs now and next. None: there is no such price."""

    words: str
    current: Decimal | None
    next: Decimal | None


@dataclass(frozen=True)
class Row:
    """A model in the list, with a line for each unit that it is charged by."""

    model: ShownModel
    lines: Sequence[Line]
    use: Use


def rows_of(models: Sequence[ShownModel], use: Mapping[str, Use]) -> list[Row]:
    """The list: active models without a price first, then by what was spent on them; those that are off last."""
    rows = [Row(model, lines_of(model), use.get(model.name, Use())) for model in models]
    return sorted(
        rows,
        key=lambda row: (not row.model.is_active, row.model.current is not None, -row.use.spent, row.model.name),
    )


def lines_of(model: ShownModel) -> list[Line]:
    """The units of which the price now, or the next one, is not 0; at least one, for a model that is free."""
    now, following = units_of(model.current), units_of(model.next)
    units = [unit for unit in UNITS_OF[model.kind] if now.get(unit) or following.get(unit)]
    return [
        Line(UNIT_WORDS[unit], now.get(unit), following.get(unit))
        for unit in units or (UNITS_OF[model.kind][:1] if model.current or model.next else ())
    ]


def units_of(price: ShownPrice | None) -> Mapping[str, Decimal]:
    """What each unit costs; nothing without a price."""
    return {} if price is None else asdict(price.units)


def quantities_of(use: Use) -> Mapping[str, Decimal]:
    """How much was charged for, by unit."""
    return {
        "per_call": Decimal(use.calls),
        "per_second": use.predict_time,
        "per_output": Decimal(use.outputs),
        "per_million_prompt_tokens": use.prompt_tokens / _MILLION,
        "per_million_completion_tokens": use.completion_tokens / _MILLION,
    }


def quantity_text(number: Decimal) -> str:
    """A quantity without the decimals that say nothing."""
    return f"{number.quantize(Decimal('0.01')).normalize():,f}"


def difference(before: UnitPrices | None, after: UnitPrices, use: Use) -> Decimal:
    """What a change of a price makes at the use of a month, in credits. Ceilings are left out of account."""
    quantities = quantities_of(use)
    former = {} if before is None else asdict(before)
    return sum(
        ((amount - former.get(unit, Decimal(0))) * quantities[unit] for unit, amount in asdict(after).items()),
        Decimal(0),
    )
