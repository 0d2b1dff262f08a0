"""The form of an answer that a prompt asks for in words, as clients do whose models know no JSON schemas."""

import json
import re
from typing import Any

from simulator.openai.conversation import text_of
from simulator.wire import Json

_DECODER = json.JSONDecoder()
_LONGEST = 100_000
_OPENING = re.compile(r"\{")
_ABOUT_KEYS = re.compile(r"[^.\n]{0,500}\b(keys?|fields?)\b[^.\n]{0,500}", re.IGNORECASE)
_NAME = re.compile(r"['\"`](?P<name>[A-Za-z]\w{0,63})['\"`]")


def prompted_schema(messages: list[Json]) -> Json | None:
    """The JSON schema in the newest message that holds one, or one of the keys that such a message names.

    Returns:
        The schema of an object; None if no message says anything of the kind.
    """
    texts = [text_of(message)[:_LONGEST] for message in reversed(messages) if message.get("role") != "tool"]
    found = next(filter(None, map(_written_schema, texts)), None)
    return found or next(filter(None, map(_named_keys, texts)), None)


def _written_schema(text: str) -> Json | None:
    for start in _OPENING.finditer(text):
        try:
            value, _ = _DECODER.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        if _is_schema(value):
            found: Json = value
            return found
    return None


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("properties"), dict)


def _named_keys(text: str) -> Json | None:
    names = [match["name"] for said in _ABOUT_KEYS.finditer(text) for match in _NAME.finditer(said[0])]
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}} if names else None
