"""Bodies of requests for responses that were made to cost the server as much as possible; see `hostile_bodies`."""

import base64

from bench.hostile_bodies import Shape, keys_of, list_of

_ITEM = b'{"role":"user","content":"x"}'
_CALL = b'{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}'
_OUTPUT = b'{"type":"function_call_output","call_id":"a","output":"x"}'
_THOUGHT = b'{"type":"reasoning","summary":[{"type":"summary_text","text":""}]}'
# So many items are still read.
_MOST = 4999


def asked(given: bytes, members: bytes = b"") -> bytes:
    """A request for a response with this input, and further members."""
    return b'{"model":"junis-orchestrator","input":' + given + members + b"}"


def _items(item: bytes, size: int) -> bytes:
    return asked(list_of(item, min(size, _MOST * (len(item) + 1))))


def _sealed(size: int) -> bytes:
    sealed = base64.urlsafe_b64encode(b"\0" * (size * 3 // 4))
    return asked(b'[{"type":"reasoning","encrypted_content":"' + sealed + b'"},' + _ITEM + b"]")


RESPONSES: dict[str, Shape] = {
    "one text": lambda size: asked(b'"' + b"a" * size + b'"'),
    "messages": lambda size: _items(b'{"role":"user","content":"%s"}' % (b"a" * (size // 5000)), size),
    "calls of one answer": lambda size: _items(_CALL, size),
    "calls and outputs": lambda size: _items(_CALL + b"," + _OUTPUT, size),
    "thoughts": lambda size: _items(_THOUGHT, size),
    "too many items": lambda size: asked(list_of(_ITEM, size)),
    "items of other tools": lambda size: _items(b'{"type":"web_search_call"}', size),
    "parts": lambda size: asked(
        b'[{"role":"user","content":' + list_of(b'{"type":"input_text","text":""}', min(size, 999 * 32)) + b"}]"
    ),
    "too many parts": lambda size: asked(
        b'[{"role":"user","content":' + list_of(b'{"type":"input_text","text":""}', size) + b"}]"
    ),
    "item of keys": lambda size: asked(b'[{"role":"user","content":"x",' + keys_of(min(size, 590_000)) + b"}]"),
    "sealed": _sealed,
    "many sealed": lambda size: _items(b'{"type":"reasoning","encrypted_content":"AAAA"}', size),
    "other tools": lambda size: asked(b'"x"', b',"tools":' + list_of(b'{"type":"web_search"}', size)),
    "namespaces": lambda size: asked(
        b'"x"', b',"tools":[{"type":"namespace","tools":' + list_of(b'{"type":"function"}', size) + b"}]"
    ),
    "schema": lambda size: asked(
        b'"x"',
        b',"text":{"format":{"type":"json_schema","name":"a","schema":{' + keys_of(min(size, 590_000)) + b"}}}",
    ),
    "metadata of keys": lambda size: asked(b'"x"', b',"metadata":{' + keys_of(size, value=b'"1"') + b"}"),
}
