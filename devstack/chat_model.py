"""The chat model of a real server: what `junis demo-model` has found out about it."""

import json
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class ChatModel:
    """What the banner says of the model; see `app.onboarding.demo_model` for the meaning of each."""

    model: str
    is_near: bool
    note: str
    problem: str
    mend: str
    price: tuple[float, float] | None
    was_made_free: bool

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What the command has printed; it may hold more."""
        found: dict[str, Any] = json.loads(text)
        values = {field.name: found[field.name] for field in fields(cls)}
        price = found["price"]
        return cls(**{**values, "price": None if price is None else (float(price[0]), float(price[1]))})
