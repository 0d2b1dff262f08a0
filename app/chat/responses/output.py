"""The output of a turn as items: at most one for the model's reasoning, one for its text, and one for each call. Pure.

An item's id is made of its turn's, so that it is the same whenever the turn is shown.
"""

import re
from typing import Final

from app.chat_models.finish_reasons import CUT
from app.chat_models.protocol import JsonObject

_TURN: Final = "turn-"
_RESPONSE: Final = "resp_"
_ITEM: Final = re.compile(r"(?:msg|rs|fc)_([0-9a-z]{1,64})(?:_[0-9s]{1,8})?")


def response_id_of(turn_id: str) -> str:
    """The id of the response that the turn has made."""
    return turn_id.replace(_TURN, _RESPONSE, 1)


def turn_id_of(response_id: str) -> str | None:
    """The id of the turn that has made the response; None if this is no id of one."""
    return response_id.replace(_RESPONSE, _TURN, 1) if response_id.startswith(_RESPONSE) else None


def item_id_of(kind: str, turn_id: str, suffix: str = "") -> str:
    """The id of an item of the turn. `kind` is `msg`, `rs` or `fc`."""
    return f"{kind}_{turn_id.removeprefix(_TURN)}{suffix}"


def response_of_item(item_id: object) -> str | None:
    """The id of the response that an item of this id is of; None if it has none of our ids."""
    match = _ITEM.fullmatch(item_id) if isinstance(item_id, str) else None
    return f"{_RESPONSE}{match[1]}" if match else None


def status_of(finish_reason: str) -> str:
    """The status of a response, and of what is in it."""
    return "incomplete" if finish_reason in CUT else "completed"


def reasoning_item(item_id: str, text: str | None, *, is_summary: bool) -> JsonObject:
    """The model's reasoning: in words as a summary or as it is; None of it before it has begun."""
    parts = [] if text is None else [reasoning_part(text, is_summary=is_summary)]
    if is_summary:
        return {"id": item_id, "type": "reasoning", "summary": parts}
    return {"id": item_id, "type": "reasoning", "summary": [], "content": parts}


def sealed_item(turn_id: str, sealed: str) -> JsonObject:
    """What the model needs back, for the client to keep."""
    return {"id": item_id_of("rs", turn_id, "_s"), "type": "reasoning", "summary": [], "encrypted_content": sealed}


def message_item(item_id: str, parts: list[JsonObject], status: str) -> JsonObject:
    """What the model has said."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": parts}


def call_item(item_id: str, call: JsonObject, arguments: str, status: str) -> JsonObject:
    """A call of one of the client's functions."""
    name = call["function"]["name"]
    shown = {"call_id": call["id"], "name": name, "arguments": arguments}
    return {"id": item_id, "type": "function_call", "status": status, **shown}


def reasoning_part(text: str, *, is_summary: bool) -> JsonObject:
    """A piece of reasoning."""
    return {"type": "summary_text" if is_summary else "reasoning_text", "text": text}


def text_part(text: str, logprobs: list[JsonObject]) -> JsonObject:
    """A text of the model."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def refusal_part(text: str) -> JsonObject:
    """What the model says instead of an answer that it refuses."""
    return {"type": "refusal", "refusal": text}


def shown_logprobs(logprobs: JsonObject | None) -> list[JsonObject]:
    """Log probabilities of tokens, with every field."""
    content = (logprobs or {}).get("content")
    return [_shown_token(token) for token in content or () if isinstance(token, dict)]


def _shown_token(token: JsonObject) -> JsonObject:
    top = [_shown_alternative(each) for each in token.get("top_logprobs") or ()]
    return {**_shown_alternative(token), "top_logprobs": top}


def _shown_alternative(token: JsonObject) -> JsonObject:
    return {"token": token.get("token"), "logprob": token.get("logprob"), "bytes": token.get("bytes") or []}
