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
_BASE64 = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
# How files of these formats begin in base64: MP3 with an ID3 tag or a frame, WAV with RIFF.
_MP3 = f"^(SUQz|/[+/][A-Za-z0-9+/]{{2}}){_BASE64}"
_WAV = f"^UklG{_BASE64}"
_FILE = "^data:[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(;[A-Za-z0-9.+_=-]+)*;base64,[A-Za-z0-9+/]"


def _sound(format_: str, beginning: str) -> _Json:
    data = {"type": "string", "contentEncoding": "base64", "pattern": beginning}
    return {"properties": {"format": {"const": format_}, "data": data}}


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
            "required": ["data", "format"],
            "oneOf": [_sound("wav", _WAV), _sound("mp3", _MP3)],
        }
    },
    "file": {
        "file": {
            "type": "object",
            "properties": {"file_data": {"type": "string", "pattern": _FILE}},
            "required": ["file_data"],
        }
    },
}
_PARTS_OF_ALL = ("text", "image_url", "input_audio", "file")


_EXAMPLE: list[_Json] = [{"role": "user", "content": "What is a lighthouse?"}]


def describe_message(schema: _Json) -> None:
    """Say which fields and parts a message of each role has."""
    schema["allOf"] = [
        _if_role(["system", "developer", "user"], _message(_PARTS_OF_ALL, needs_content=True)),
        _if_role(["assistant"], _message((*_PARTS_OF_ALL, "refusal"), needs_content=False)),
        _if_role(["tool"], _tool_message()),
    ]


def describe_call(schema: _Json) -> None:
    """Say that a call of a function, which a call is if it does not say its type, has one."""
    schema["if"] = {"properties": {"type": {"const": "function"}}}
    schema["then"] = {"properties": {"function": {"type": "object"}}, "required": ["function"]}


def describe_request(schema: _Json) -> None:
    """Say what names parameters may have that this server does not know, and show requests."""
    schema["propertyNames"] = {"pattern": "^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"}
    schema["examples"] = [
        {"messages": _EXAMPLE},
        {"messages": _EXAMPLE, "stream": True, "stream_options": {"include_usage": True}},
    ]


def describe_agent_request(schema: _Json) -> None:
    """Say that a prompt stands for the messages."""
    describe_request(schema)
    schema["required"] = [name for name in schema["required"] if name != "messages"]
    schema["properties"]["prompt"] = {"anyOf": [_TEXT, {"type": "null"}], "description": "The only message, a user's"}
    schema["oneOf"] = [
        {"required": ["messages"], "properties": {"prompt": {"type": "null"}}},
        {"required": ["prompt"], "properties": {"prompt": _TEXT, "messages": False}},
    ]


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
