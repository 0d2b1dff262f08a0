"""What `/openapi.json` says of a request for a response beyond its fields' types. The validators enforce it."""

from typing import Any

_Json = dict[str, Any]

_TEXT: _Json = {"type": "string"}
_WORD: _Json = {"type": "string", "minLength": 1}


def _object(required: tuple[str, ...], /, **properties: _Json) -> _Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def _kind(kind: str, /, *required: str, **properties: _Json) -> _Json:
    return _object(("type", *required), type={"const": kind}, **properties)


_PICTURE = "^(https?://|data:image/[a-z0-9.+-]+[;,])"
_FILE = "^data:[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(;[A-Za-z0-9.+_=-]+)*;base64,[A-Za-z0-9+/]"
_PARTS = [
    _object(("type", "text"), type={"enum": ["input_text", "output_text", "text"]}, text=_TEXT),
    _kind("input_image", "image_url", image_url={"type": "string", "pattern": _PICTURE}),
    _kind("input_file", "file_data", file_data={"type": "string", "pattern": _FILE}),
]
_REFUSAL = _kind("refusal", "refusal", refusal=_TEXT)


def _content(*parts: _Json) -> _Json:
    return {"anyOf": [_TEXT, {"type": "array", "items": {"anyOf": [*_PARTS, *parts]}}]}


def _message(roles: list[str], content: _Json) -> _Json:
    return _object(("role", "content"), type={"const": "message"}, role={"enum": roles}, content=content)


_THOUGHT = _object(("type", "text"), type={"enum": ["summary_text", "reasoning_text"]}, text=_TEXT)
_THOUGHTS: _Json = {"anyOf": [{"type": "array", "items": _THOUGHT}, {"type": "null"}]}
_ITEM: _Json = {
    "anyOf": [
        _message(["user", "system", "developer"], _content()),
        _message(["assistant"], _content(_REFUSAL)),
        _kind("function_call", "call_id", "name", "arguments", call_id=_WORD, name=_WORD, arguments=_TEXT),
        _kind("function_call_output", "call_id", "output", call_id=_WORD, output=_content()),
        _kind("item_reference", "id", id=_WORD),
        _kind("reasoning", summary=_THOUGHTS, content=_THOUGHTS, encrypted_content={"type": ["string", "null"]}),
    ]
}
_MESSAGES: _Json = {"type": "array", "minItems": 1, "items": _ITEM}
INPUT: _Json = {
    "anyOf": [_TEXT, _MESSAGES],
    "description": "A text of the user, or the items of a conversation. What tools of other servers have left, such as "
    "`web_search_call`, is passed over",
}

TOOLS: _Json = {
    "type": "array",
    "items": {
        "anyOf": [
            _kind(
                "function",
                "name",
                name={"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
                parameters={"type": ["object", "null"]},
            ),
            {
                "type": "object",
                "properties": {"type": {"type": "string", "not": {"const": "function"}}},
                "required": ["type"],
            },
        ]
    },
    "description": "Functions, which the client runs itself. Tools of other types are passed over",
}

_NAMED = _kind("function", "name", name=_WORD)
TOOL_CHOICE: _Json = {
    "anyOf": [
        {"enum": ["none", "auto", "required"]},
        _NAMED,
        _kind(
            "allowed_tools",
            "mode",
            "tools",
            mode={"enum": ["auto", "required"]},
            tools={"type": "array", "items": _NAMED, "minItems": 1},
        ),
    ]
}

FORMAT: _Json = {
    "anyOf": [
        _object(("type",), type={"enum": ["text", "json_object"]}),
        _kind("json_schema", "name", "schema", name=_TEXT, schema={"type": "object"}),
    ]
}


def describe_request(schema: _Json) -> None:
    """Say what names parameters may have that this server does not know, and show requests."""
    schema["propertyNames"] = {"pattern": "^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"}
    # What runs in the background is asked for again.
    refused = {"background": {"const": True}, "store": {"const": False}}
    schema["not"] = {"properties": refused, "required": list(refused)}
    schema["examples"] = [
        {"model": "junis-orchestrator", "input": "What is a lighthouse?"},
        {"model": "junis-orchestrator", "input": [{"role": "user", "content": "Hello!"}], "stream": True},
    ]
