"""The catalog as operators see it: prices now and next, what was used in a month, and who refers to models."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.catalog.pricing import PRICE_UNITS, UnitPrices
from app.core.database import Transaction

_IS_NOW = "model_name = m.name AND effective_at <= now() ORDER BY effective_at DESC LIMIT 1"
_IS_NEXT = "model_name = m.name AND effective_at > now() ORDER BY effective_at LIMIT 1"
_MODELS = f"""
SELECT m.name, m.kind, m.description, m.is_active, m.upstream, m.upstream_model, m.max_output_tokens, m.context_tokens,
       m.created_at, to_jsonb(current)::text AS current, to_jsonb(next)::text AS next
FROM models m
LEFT JOIN LATERAL (SELECT * FROM prices WHERE {_IS_NOW}) current ON true
LEFT JOIN LATERAL (SELECT * FROM prices WHERE {_IS_NEXT}) next ON true
WHERE $1::text IS NULL OR m.name = $1
ORDER BY m.name
"""
_USE = """
SELECT model, sum(amount) AS spent, sum(calls) AS calls, sum(predict_time) AS predict_time, sum(outputs) AS outputs,
       sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens
FROM spend_days WHERE day > current_date - 30 AND ($1::text IS NULL OR model = $1) GROUP BY 1
"""
_PRICES = "SELECT to_jsonb(p)::text AS price FROM prices p WHERE model_name = $1 ORDER BY effective_at DESC LIMIT 50"
_REFERRED = "SELECT model, count(*) AS agents FROM agents WHERE is_active AND model IS NOT NULL GROUP BY 1"
_UNPRICED = """
SELECT name FROM models m WHERE is_active
AND NOT EXISTS (SELECT FROM prices WHERE model_name = m.name AND effective_at <= now()) ORDER BY name
"""
# Of models whose newest attempts of the last day have all failed.
_FAILING = """
SELECT g.model, count(*) AS failures, max(a.ended_at) AS last_at
FROM attempts a JOIN generations g ON g.id = a.generation_id
WHERE a.ending = 'failed' AND a.ended_at > now() - interval '24 hours' GROUP BY 1 HAVING count(*) >= $1
"""


@dataclass(frozen=True)
class ShownPrice:
    """A price: what a unit costs, the most that a generation costs, and from when it is in force."""

    units: UnitPrices
    ceiling: Decimal | None
    effective_at: datetime


@dataclass(frozen=True)
class ShownModel:
    """A model with its price in force now and the next one that is set, if any."""

    name: str
    kind: str
    description: str
    is_active: bool
    upstream: str | None
    upstream_model: str | None
    max_output_tokens: int | None
    context_tokens: int | None
    created_at: datetime
    current: ShownPrice | None
    next: ShownPrice | None


@dataclass(frozen=True)
class Use:
    """What was charged of a model in 30 days."""

    spent: Decimal = Decimal(0)
    calls: int = 0
    predict_time: Decimal = Decimal(0)
    outputs: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


async def list_models(tx: Transaction, name: str | None = None) -> Sequence[ShownModel]:
    """All models of the catalog, active or not, or the one of that name."""
    return [_model(row) for row in await tx.fetch(_MODELS, name)]


async def read_use(tx: Transaction, name: str | None = None) -> Mapping[str, Use]:
    """What was charged in 30 days, by model."""
    return {
        row["model"]: Use(
            spent=row["spent"],
            calls=int(row["calls"]),
            predict_time=row["predict_time"],
            outputs=int(row["outputs"]),
            prompt_tokens=int(row["prompt_tokens"]),
            completion_tokens=int(row["completion_tokens"]),
        )
        for row in await tx.fetch(_USE, name)
    }


async def list_prices(tx: Transaction, name: str) -> Sequence[ShownPrice]:
    """The model's prices, the last one first, with those that are not in force yet."""
    prices = [_price(row["price"]) for row in await tx.fetch(_PRICES, name)]
    return [price for price in prices if price is not None]


async def count_references(tx: Transaction) -> Mapping[str, int]:
    """How many active agents name each model."""
    return {row["model"]: row["agents"] for row in await tx.fetch(_REFERRED)}


async def list_unpriced(tx: Transaction) -> Sequence[str]:
    """The names of active models without a price in force, whose calls are refused."""
    return [row["name"] for row in await tx.fetch(_UNPRICED)]


async def count_failures(tx: Transaction, at_least: int) -> Mapping[str, int]:
    """How many attempts of each model have failed in 24 hours, of models with so many."""
    return {row["model"]: row["failures"] for row in await tx.fetch(_FAILING, at_least)}


def _model(row: Any) -> ShownModel:
    names = ShownModel.__dataclass_fields__.keys() - {"current", "next"}
    return ShownModel(**{name: row[name] for name in names}, current=_price(row["current"]), next=_price(row["next"]))


def _price(value: Any) -> ShownPrice | None:
    if value is None:
        return None
    # The text of JSON, whose numbers are exact.
    read = json.loads(value, parse_float=Decimal, parse_int=Decimal)
    units = UnitPrices(**{unit: read[unit] for unit in PRICE_UNITS})
    return ShownPrice(units, read["ceiling"], datetime.fromisoformat(read["effective_at"]))
