import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

from asyncpg import Record

# A message in OpenAI's form.
WireMessage = Mapping[str, Any]
# The most that is read of a session's messages at once, in bytes of JSON: for the history of a turn, and for a page,
# which is written in one piece.
MOST_BYTES_AT_ONCE = 16 * 1024 * 1024
_ID_LENGTH = 24
MOST_BYTES_OF_A_PAGE = 10 * 1024 * 1024


class MessageRole(StrEnum):
    """Who has written a message."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


# The fields of a message that have columns of their own, and the one that no later turn may see.
_WITH_COLUMNS = frozenset({"role", "content", "tool_calls", "tool_call_id", "name", "refusal"})
# A message whose further fields are longer, as JSON text in bytes, is stored without them.
MOST_BYTES_OF_ADDITIONS = 1024 * 1024


def additions_of(message: WireMessage) -> dict[str, Any] | None:
    """The fields of the message that have no column of their own; None if there are none."""
    return {name: value for name, value in message.items() if name not in _WITH_COLUMNS and value is not None} or None


class StoredMessage(NamedTuple):
    """A message of a session, as it was stored. `agent` is the one that wrote it; None if it came from the client."""

    id: int
    turn_id: str
    agent: str | None
    role: str
    content: Any
    tool_calls: list[Any] | None
    tool_call_id: str | None
    name: str | None
    additions: Any = None

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
            additions=row["additions"],
        )

    def in_wire_form(self) -> dict[str, Any]:
        """The message in OpenAI's form, without the fields that it does not have."""
        message = dict(self.additions) if isinstance(self.additions, dict) else {}
        message |= {"role": self.role, "content": self.content}
        if self.tool_calls is not None:
            message["tool_calls"] = self.tool_calls
        if self.tool_call_id is not None:
            message["tool_call_id"] = self.tool_call_id
        if self.name is not None:
            message["name"] = self.name
        return message


@dataclass(frozen=True)
class ListedMessage:
    """A message on a page of a session's messages.

    Without `is_shown` it would have made the page too large: `content` and `tool_calls` are None then. If it
    `is_superseded`, a later request has replaced it, and models do not see it any more.
    """

    id: int
    session_id: uuid.UUID
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
            session_id=row["session_id"],
            role=row["role"],
            content=row["content"],
            agent=row["agent"],
            tool_calls=row["tool_calls"],
            tool_call_id=row["tool_call_id"],
            created_at=row["created_at"],
            is_superseded=row["is_superseded"],
            is_shown=row["is_shown"],
        )

    @property
    def public_id(self) -> str:
        """The message's id in the API.

        Rows are numbered over all sessions, so that their numbers would tell how much all organizations say. The id of
        the session's row, which is random and never shown, hides them.
        """
        return f"msg-{hashlib.sha256(self.session_id.bytes + self.id.to_bytes(8)).hexdigest()[:_ID_LENGTH]}"
