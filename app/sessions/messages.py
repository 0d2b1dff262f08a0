from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from asyncpg import Record

# A message in OpenAI's form.
WireMessage = Mapping[str, Any]
# The most that is read of a session's messages at once, in bytes of JSON: a page, or the history of a turn.
MOST_BYTES_AT_ONCE = 16 * 1024 * 1024


class MessageRole(StrEnum):
    """Who has written a message."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True)
class StoredMessage:
    """A message of a session, as it was stored. `agent` is the one that wrote it; None if it came from the client."""

    id: int
    turn_id: str
    agent: str | None
    role: str
    content: Any
    tool_calls: list[Any] | None
    tool_call_id: str | None
    name: str | None

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The value of a row of `messages`."""
        return cls(
            id=row["id"],
            turn_id=row["turn_id"],
            agent=row["agent"],
            role=row["role"],
            content=row["content"],
            tool_calls=row["tool_calls"],
            tool_call_id=row["tool_call_id"],
            name=row["name"],
        )

    def in_wire_form(self) -> dict[str, Any]:
        """The message in OpenAI's form, without the fields that it does not have."""
        optional = {"tool_calls": self.tool_calls, "tool_call_id": self.tool_call_id, "name": self.name}
        given = {name: value for name, value in optional.items() if value is not None}
        return {"role": self.role, "content": self.content, **given}


@dataclass(frozen=True)
class ListedMessage:
    """A message on a page of a session's messages.

    Without `is_shown` it would have made the page too large: `content` and `tool_calls` are None then. If it
    `is_superseded`, a later request has replaced it, and models do not see it any more.
    """

    id: int
    role: str
    content: Any
    agent: str | None
    tool_calls: list[Any] | None
    tool_call_id: str | None
    created_at: datetime
    is_superseded: bool
    is_shown: bool

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The value of a row of `messages` with `is_shown`."""
        return cls(
            id=row["id"],
            role=row["role"],
            content=row["content"],
            agent=row["agent"],
            tool_calls=row["tool_calls"],
            tool_call_id=row["tool_call_id"],
            created_at=row["created_at"],
            is_superseded=row["is_superseded"],
            is_shown=row["is_shown"],
        )
