"""What a model needs back of its own, sealed into `encrypted_content` so that the client can keep it for the server.

A client that has nothing stored here sends its whole history with each request. Of the model's calls that history has
no more than names and arguments, but some models refuse their calls without what led to them: signatures, thinking
blocks, reasoning. All of that travels in a reasoning item of its own, which names the calls that it belongs to.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.agents.runtime.events import REASONING
from app.chat.responses.input_items import SealedItem
from app.chat_models.protocol import JsonObject
from app.core.errors import InvalidRequestError
from app.core.secret_keys import SecretKeys

# The fields of messages and calls that their items have.
_SHOWN_OF_MESSAGES = frozenset({"role", "content", "refusal", "tool_calls"})
_SHOWN_OF_CALLS = frozenset({"id", "type", "function"})
_SHOWN_OF_FUNCTIONS = frozenset({"name", "arguments"})


def thoughts_of(message: JsonObject) -> JsonObject | None:
    """What a model needs back of its message. None if that is nothing: without calls, the text is all."""
    calls = message.get("tool_calls") or ()
    thoughts = {
        "message": _without(message, _SHOWN_OF_MESSAGES),
        "calls": {call["id"]: _without(call, _SHOWN_OF_CALLS) for call in calls},
        "functions": {call["id"]: _without(call["function"], _SHOWN_OF_FUNCTIONS) for call in calls},
    }
    is_anything = thoughts["message"] or any(thoughts["calls"].values()) or any(thoughts["functions"].values())
    return thoughts if calls and is_anything else None


def put_back(thoughts: Mapping[str, Any], messages: Sequence[JsonObject]) -> None:
    """Add what a model needs back to the message that it belongs to. If that is not there, it is left out."""
    for message in messages:
        if any(call["id"] in thoughts["calls"] for call in message.get("tool_calls") or ()):
            _add(thoughts, message)
            return


@dataclass(frozen=True)
class ThoughtSeal:
    """Seals and opens what belongs to one organization."""

    keys: SecretKeys
    organization_id: str

    def close(self, message: JsonObject) -> str | None:
        """What a model needs back of its message, sealed.

        None if that is nothing, or if this process alone could open it.
        """
        thoughts = thoughts_of(message) if self.keys.is_lasting else None
        if thoughts is None:
            return None
        return base64.urlsafe_b64encode(self.keys.seal(orjson.dumps(thoughts).decode(), self._context)).decode()

    def put_back(self, sealed: Sequence[SealedItem], messages: Sequence[JsonObject]) -> None:
        """Add what is sealed to the messages that it belongs to.

        Raises:
            InvalidRequestError: it was not sealed here for this organization.
        """
        for item in sealed:
            put_back(self._opened(item), messages)

    def _opened(self, item: SealedItem) -> Mapping[str, Any]:
        try:
            text = self.keys.unseal(base64.urlsafe_b64decode(item.text), self._context)
        except (binascii.Error, ValueError):
            text = None
        if text is None:
            place = ".".join(map(str, ("input", *item.place)))
            reason = "it was not sealed here for this organization, or has changed"
            raise InvalidRequestError(f"{place}: {reason}", param=place)
        thoughts: Mapping[str, Any] = orjson.loads(text)
        return thoughts

    @property
    def _context(self) -> str:
        return f"encrypted_content {self.organization_id}"


def _without(fields: JsonObject, known: frozenset[str]) -> JsonObject:
    return {name: value for name, value in fields.items() if name not in known}


def _add(thoughts: Mapping[str, Any], message: JsonObject) -> None:
    # What the client has sent in words is the same; it is not needed twice.
    message.pop(REASONING, None)
    message.update(thoughts["message"])
    for call in message["tool_calls"]:
        call.update(thoughts["calls"].get(call["id"], {}))
        call["function"] = {**call["function"], **thoughts["functions"].get(call["id"], {})}
