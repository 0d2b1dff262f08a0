"""What an event must have cost, in SQL, is what `app.catalog.pricing` charges for it."""

import json
import random
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from app.catalog.pricing import MOST_CREDITS, PriceTag, chat_cost, generation_cost
from app.core.database import Database
from app.verification.cost_sql import cost_sql

_RECOMPUTE = f"""
SELECT cost, {cost_sql("c", "c")} AS recomputed
FROM jsonb_to_recordset($1::jsonb) AS c (
    kind text, cost numeric, prompt_tokens bigint, completion_tokens bigint, predict_time numeric, outputs int,
    per_call numeric, per_second numeric, per_output numeric, per_million_prompt_tokens numeric,
    per_million_completion_tokens numeric, ceiling numeric
)
"""


def make_price(draw: random.Random) -> PriceTag:
    """A price of which every part may be 0, tiny, common or huge."""

    def part() -> Decimal:
        return draw.choice([0, 1, draw.randrange(10**4), draw.randrange(10**8), draw.randrange(10**18)]) * Decimal(
            "0.000001"
        )

    return PriceTag(
        id=1,
        model_name="test",
        per_call=part(),
        per_second=part(),
        per_output=part(),
        per_million_prompt_tokens=part(),
        per_million_completion_tokens=part(),
        ceiling=part(),
    )


def make_call(draw: random.Random) -> dict[str, Any]:
    price = make_price(draw)
    prompt, completion = (draw.choice([0, 1, 5, draw.randrange(10**4), 100_000_000]) for _ in range(2))
    cost = chat_cost(price, prompt_tokens=prompt, completion_tokens=completion)
    return asdict(price) | {
        "kind": "model_call",
        "cost": cost,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
    }


def make_generation(draw: random.Random) -> dict[str, Any]:
    price = make_price(draw)
    seconds = draw.choice([None, Decimal(0), Decimal(draw.randrange(10**9)) / 10**6, Decimal("0.0000005")])
    outputs = draw.randrange(1, 50)
    cost = generation_cost(price, predict_time=seconds, outputs=outputs).amount
    return asdict(price) | {"kind": "generation", "cost": cost, "predict_time": seconds, "outputs": outputs}


async def test_every_cost_can_be_computed_again(database: Database) -> None:
    draw = random.Random(7)
    events = [make(draw) for _ in range(2000) for make in (make_call, make_generation)]

    async with database.transaction() as tx:
        rows = await tx.fetch(_RECOMPUTE, json.dumps(events, default=str))

    assert len(rows) == len(events)
    assert [tuple(row) for row in rows if row["cost"] != row["recomputed"]] == []
    # The draws reach every limit.
    assert {MOST_CREDITS, Decimal(0)} < {row["cost"] for row in rows}


async def test_a_use_without_quantities_is_free(database: Database) -> None:
    price = asdict(make_price(random.Random(1))) | {"per_call": 1, "ceiling": 1, "cost": 0}

    async with database.transaction() as tx:
        rows = await tx.fetch(
            _RECOMPUTE, json.dumps([price | {"kind": "model_call"}, price | {"kind": "generation"}], default=str)
        )

    assert [row["recomputed"] for row in rows] == [0, 0]
