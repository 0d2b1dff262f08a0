"""What `/openapi.json` says of a chat request beyond its fields' types. The request's own validators enforce it."""

from typing import Any

_Json = dict[str, Any]

_TEXT = {"type": "string"}
_NO_CALLS: _Json = {"anyOf": [{"type": "array", "maxItems": 0}, {"type": "null"}]}
_NAMED = {
    "type": "object",
    "properties": {
        "type": {"const": "function"},
        "function": {
            "type": "object",
            "properties": {"name": {"type": "string", "minLength": 1}},
            "required": ["name"],
        },
    },
    "required": ["type", "function"],
}
# The parts of a message's content: the field that each type needs, and its form.
_PARTS: dict[str, _Json] = {
    "text": {"text": _TEXT},
    "refusal": {"refusal": _TEXT},
    "image_url": {
        "image_url": {
            "type": "object",
            "properties": {"url": {"type": "string", "pattern": "^(https?://|data:image/[a-z0-9.+-]+[;,])"}},
            "required": ["url"],
        }
    },
    "input_audio": {
        "input_audio": {
            "type": "object",
            "properties": {"data": {"type": "string", "contentEncoding": "base64"}, "format": {"enum": ["wav", "mp3"]}},
            "required": ["data", "format"],
        }
    },
    "file": {
        "file": {
            "type": "object",
            "properties": {"file_data": {"type": "string", "pattern": "^data:[^,]+;base64,[A-Za-z0-9+/]"}},
            "required": ["file_data"],
        }
    },
}
_PARTS_OF_ALL = ("text", "image_url", "input_audio", "file")


def describe_message(schema: _Json) -> None:
    """Say which fields and parts a message of each role has."""
    schema["allOf"] = [
        _if_role(["system", "developer", "user"], _message(_PARTS_OF_ALL, needs_content=True)),
        _if_role(["assistant"], _message((*_PARTS_OF_ALL, "refusal"), needs_content=False)),
        _if_role(["tool"], _tool_message()),
    ]


def describe_request(schema: _Json) -> None:
    """Say what names parameters may have that this server does not know."""
    schema["propertyNames"] = {"pattern": "^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"}


RESPONSE_FORMAT: _Json = {
    "type": "object",
    "properties": {"type": {"enum": ["text", "json_object", "json_schema"]}},
    "required": ["type"],
    "if": {"properties": {"type": {"const": "json_schema"}}},
    "then": {
        "properties": {
            "json_schema": {"type": "object", "properties": {"schema": {"type": "object"}}, "required": ["schema"]}
        },
        "required": ["json_schema"],
    },
}

TOOL_CHOICE: _Json = {
    "oneOf": [
        {"enum": ["none", "auto", "required"]},
        _NAMED,
        {
            "type": "object",
            "properties": {
                "type": {"const": "allowed_tools"},
                "allowed_tools": {
                    "type": "object",
                    "properties": {
                        "mode": {"enum": ["auto", "required"]},
                        "tools": {"type": "array", "items": _NAMED, "minItems": 1},
                    },
                    "required": ["mode", "tools"],
                },
            },
            "required": ["type", "allowed_tools"],
        },
    ]
}


def _if_role(roles: list[str], then: _Json) -> _Json:
    return {"if": {"properties": {"role": {"enum": roles}}}, "then": then}


def _message(parts: tuple[str, ...], *, needs_content: bool) -> _Json:
    kinds: list[_Json] = [_TEXT, {"type": "array", "items": {"oneOf": [_part(kind) for kind in parts]}}]
    if not needs_content:
        kinds.append({"type": "null"})
    properties: _Json = {"content": {"anyOf": kinds}, "tool_call_id": {"type": "null"}}
    if needs_content:
        properties["tool_calls"] = _NO_CALLS
    return {"properties": properties, "required": ["content"] if needs_content else []}


def _tool_message() -> _Json:
    message = _message(_PARTS_OF_ALL, needs_content=True)
    message["properties"]["tool_call_id"] = {"type": "string", "minLength": 1}
    return {**message, "required": ["content", "tool_call_id"]}


def _part(kind: str) -> _Json:
    properties = {"type": {"const": kind}, **_PARTS[kind]}
    return {"type": "object", "properties": properties, "required": list(properties)}
