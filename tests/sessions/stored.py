"""Sessions as they are stored, without a database, and messages for them."""

import asyncio
from collections.abc import Sequence
from typing import Any

from app.sessions.continuation import Continuation, continue_from
from app.sessions.messages import StoredMessage

Json = dict[str, Any]


def said(role: str, content: Any, **fields: Any) -> Json:
    return {"role": role, "content": content, **fields}


def system(text: str) -> Json:
    return said("system", text)


def user(content: Any) -> Json:
    return said("user", content)


def answer(content: Any, **fields: Any) -> Json:
    return said("assistant", content, **fields)


def call(call_id: str, name: str = "get_weather", arguments: str = '{"city":"Oslo","unit":"C"}') -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(call_id: str, content: str = "rain") -> Json:
    return said("tool", content, tool_call_id=call_id)


def continued(rows: Sequence[StoredMessage], sent: Sequence[Json]) -> Continuation:
    return asyncio.run(continue_from(rows, sent))


class Store:
    """A session as it is stored, turn by turn."""

    def __init__(self) -> None:
        self.rows: list[StoredMessage] = []
        self.superseded: set[int] = set()
        self._turns = 0

    @property
    def in_force(self) -> list[StoredMessage]:
        return [row for row in self.rows if row.id not in self.superseded]

    @property
    def texts(self) -> list[Any]:
        return [row.content for row in self.in_force]

    def turn(self, sent: Sequence[Json], *answers: Json) -> Continuation:
        """A turn with this request and these messages of its agent."""
        continuation = continued(self.in_force, sent)
        self.superseded |= set(continuation.superseded)
        self._turns += 1
        for agent, messages in ((None, continuation.asked), ("host", answers)):
            self.rows += [
                StoredMessage(
                    id=len(self.rows) + index,
                    turn_id=f"turn-{self._turns}",
                    agent=agent,
                    role=message["role"],
                    content=message.get("content"),
                    tool_calls=message.get("tool_calls"),
                    tool_call_id=message.get("tool_call_id"),
                    name=message.get("name"),
                )
                for index, message in enumerate(messages)
            ]
        return continuation
