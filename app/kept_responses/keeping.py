import uuid
from dataclasses import dataclass
from typing import Any, Self

from asyncpg import Record

from app.core.json import storable_json
from app.webhook_endpoints.models import EventType

# The ids of the organization and of the user whose responses they are.
Owner = tuple[str, str]


@dataclass(frozen=True)
class Keeping:
    """What is kept of a turn as a response.

    Attributes:
        id: the response's.
        response: the response as it is shown.
        input: the items of its request, each with an id.
        thoughts: what the model needs back of its calls; None if that is nothing.
    """

    id: str
    response: dict[str, Any]
    input: list[dict[str, Any]]
    thoughts: dict[str, Any] | None


@dataclass(frozen=True)
class Kept:
    """A kept response, and the turn that has made it."""

    id: str
    session_id: uuid.UUID
    turn_id: str
    response: dict[str, Any]
    thoughts: dict[str, Any] | None

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The value of a row of `kept_responses`."""
        return cls(row["id"], row["session_id"], row["turn_id"], row["response"], row["thoughts"])


def columns_of(keeping: Keeping, user_id: str) -> tuple[str | None, ...]:
    """The values of `fragments.KEPT_COLUMNS`: what is stored of a response of this user."""
    thoughts = None if keeping.thoughts is None else storable_json(keeping.thoughts)
    event = EventType(f"response.{keeping.response['status']}")
    return keeping.id, user_id, event.value, storable_json(keeping.response), storable_json(keeping.input), thoughts
