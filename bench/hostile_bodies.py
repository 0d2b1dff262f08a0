"""Bodies of chat requests that were made to cost the server as much as possible, each by its name.

Every shape is a function of a size: about so many bytes of it. The tests send them small, the benches as large as a
request may be.
"""

import itertools
from collections.abc import Callable, Iterable

import orjson

# What the server's limit on bodies leaves room for.
LARGEST = 9_900_000
Shape = Callable[[int], bytes]

_QUESTION = b'{"role":"user","content":"x"}'
_TEXT_PART = b'{"type":"text","text":""}'


def chat(**fields: bytes) -> bytes:
    """A chat request whose fields have these JSON texts; `messages` is a question unless it is given."""
    members = {"messages": b"[" + _QUESTION + b"]", **fields}
    return b"{" + b",".join(b'"%s":%s' % (name.encode(), value) for name, value in members.items()) + b"}"


def _content(text: bytes) -> bytes:
    return chat(messages=b'[{"role":"user","content":"' + text + b'"}]')


def _message(members: bytes) -> bytes:
    return chat(messages=b'[{"role":"user","content":"x",' + members + b"}]")


def _metadata(value: bytes) -> bytes:
    return chat(metadata=b'{"a":' + value + b"}")


def list_of(item: bytes, size: int) -> bytes:
    """A list of equal items."""
    return b"[" + (item + b",") * (size // (len(item) + 1)) + item + b"]"


def keys_of(size: int, prefix: bytes = b"", value: bytes = b"1") -> bytes:
    """Members of an object with different names."""
    count = size // (len(prefix) + len(value) + 9)
    return b",".join(b'"%s%x":%s' % (prefix, number, value) for number in range(count))


def _cut(items: Iterable[bytes], size: int) -> bytes:
    """As many of the items as have this size together, as a list."""
    taken: list[bytes] = []
    left = size
    for item in items:
        left -= len(item) + 1
        if left < 0:
            break
        taken.append(item)
    return b"[" + b",".join(taken) + b"]"


def _part(part: bytes) -> bytes:
    return chat(messages=b'[{"role":"user","content":[' + part + b"]}]")


def _answers(count: int, calls: int, *, is_whole: bool) -> Iterable[bytes]:
    """So many answers of a model, each with so many tool calls."""
    function = b',"type":"function","function":{"name":"f","arguments":"{}"}' if is_whole else b""
    for number in range(count):
        ids = (b'{"id":"%x.%x"%s}' % (number, call, function) for call in range(calls))
        yield b'{"role":"assistant","tool_calls":[' + b",".join(ids) + b"]}"


def _calling(count: int, calls: int, size: int, *, is_whole: bool = True) -> bytes:
    return chat(messages=_cut(itertools.chain([_QUESTION], _answers(count, calls, is_whole=is_whole)), size))


def _tools(size: int, schema: bytes) -> bytes:
    tools = (b'{"type":"function","function":{"name":"t%d","parameters":%s}}' % (n, schema) for n in range(128))
    return chat(tools=_cut(tools, size))


def _deep(opening: bytes, closing: bytes, size: int) -> bytes:
    count = size // (len(opening) + len(closing))
    return opening * count + b"1" + closing * count


# Those that were found to hold the event loop for more than 250 ms, and what they are compared with.
REPORTED: dict[str, Shape] = {
    "question": lambda _: chat(),
    "empty lists": lambda size: list_of(b"[]", size),
    "metadata of lists": lambda size: _metadata(list_of(b"[]", size)),
    "metadata of keys": lambda size: chat(metadata=b"{" + keys_of(size) + b"}"),
    "metadata of floats": lambda size: _metadata(list_of(b"1.7976931348623157e308", size)),
    "metadata of integers": lambda size: _metadata(list_of(b"1", size)),
    "long integers": lambda size: _metadata(list_of(b"9" * 4299, size)),
    "one text": lambda size: _content(b"a" * size),
    "backslashes": lambda size: _content(b"\\\\" * (size // 2) + b"u0000x"),
    "escaped letters": lambda size: _content(b"\\u00e9" * (size // 6)),
    "message of keys": lambda size: _message(keys_of(size)),
    "message of lists": lambda size: _message(b'"zz":' + list_of(b"{}", size)),
    "unknown keys": lambda size: chat()[:-1] + b"," + keys_of(size, b"k") + b"}",
    "unknown list": lambda size: chat(zz=list_of(b"{}", size)),
    "messages": lambda size: chat(
        messages=list_of(b'{"role":"user","content":"%s"}' % (b"a" * (size // 5000 - 28)), size)
    ),
    "short messages": lambda size: chat(messages=list_of(_QUESTION, min(size, 4999 * 30))),
    "bad messages": lambda size: chat(messages=list_of(b'{"role":"x"}', size)),
    "parts": lambda size: chat(messages=list_of(b'{"role":"user","content":' + list_of(_TEXT_PART, 1500) + b"}", size)),
    "tool calls": lambda size: _calling(2400, 60, size),
    "bare tool calls": lambda size: _calling(2400, 60, size, is_whole=False),
    "tools": lambda size: _tools(size, b'{"a":' + list_of(b"{}", size // 140) + b"}"),
    "tool name": lambda size: chat(tools=b'[{"type":"function","function":{"name":"' + b"a" * size + b'"}}]'),
    "image": lambda size: _part(
        b'{"type":"image_url","image_url":{"url":"data:image/png;base64,' + b"A" * size + b'"}}'
    ),
    "sound": lambda size: _part(
        b'{"type":"input_audio","input_audio":{"format":"mp3","data":"//v' + b"A" * (size // 4 * 4 - 3) + b'"}}'
    ),
    "bad sound": lambda size: _part(
        b'{"type":"input_audio","input_audio":{"format":"mp3","data":"//v' + b"A" * size + b'!"}}'
    ),
}

# Further ones: at the edge of a limit, past one check and into the next, or at the end of much that is good.
FURTHER: dict[str, Shape] = {
    "lists at the limit": lambda size: _metadata(list_of(b"[]", min(size, 3 * 29_980))),
    "objects at the limit": lambda size: _message(b'"zz":' + list_of(b"{}", min(size, 3 * 29_980))),
    "keys at the limit": lambda size: chat(metadata=b"{" + keys_of(min(size, 59_000 * 10)) + b"}"),
    "message of keys at the limit": lambda size: _message(keys_of(min(size, 59_000 * 10))),
    "unknown keys at the limit": lambda size: chat()[:-1] + b"," + keys_of(min(size, 59_000 * 10), b"k") + b"}",
    "long keys": lambda size: _message(keys_of(size, b"k" * 150)),
    "long values": lambda size: _message(keys_of(size, value=b'"' + b"v" * 150 + b'"')),
    "parts at the limit": lambda size: chat(
        messages=list_of(b'{"role":"user","content":' + list_of(_TEXT_PART, 24_000) + b"}", min(size, 490_000))
    ),
    "images at the limit": lambda size: chat(
        messages=list_of(
            b'{"role":"user","content":'
            + list_of(b'{"type":"image_url","image_url":{"url":"http://a"}}', 40_000)
            + b"}",
            min(size, 680_000),
        )
    ),
    "tool calls at the limit": lambda size: _calling(70, 120, size),
    "tools at the limit": lambda size: _tools(min(size, 128 * 1300), b'{"a":' + list_of(b"{}", 1250) + b"}"),
    "tool of keys": lambda size: chat(
        tools=b'[{"type":"function","function":{"name":"f",' + keys_of(min(size, 590_000)) + b"}}]"
    ),
    "calls of one id": lambda size: chat(
        messages=list_of(
            b'{"role":"assistant","tool_calls":'
            + list_of(b'{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}', 7000)
            + b"}",
            min(size, 590_000),
        )
    ),
    "results without calls": lambda size: chat(
        messages=list_of(b'{"role":"tool","tool_call_id":"a","content":"r"}', min(size, 4990 * 49))
    ),
    "commas in a text": lambda size: _content(b",[{" * (size // 3)),
    "quotes in a text": lambda size: _content(b'\\",[{' * min(size // 5, 999_000)),
    "quotes at the limit": lambda size: _content(b'\\"' * min(size // 2, 999_000) + b"," * 200_000),
    "backslashes at the limit": lambda size: _content(b"\\\\" * min(size // 2, 499_000) + b"u0000" * 200_000),
    "escaped zeros": lambda size: _content(b"\\\\u0000" * min(size // 7, 499_000)),
    "one zero at the end": lambda size: _content(b"a" * (size - 6) + b"\\u0000"),
    "zeros everywhere": lambda size: _content(b"\\u0000" * min(size // 6, 999_000)),
    "line breaks": lambda size: _content(b"\\n" * min(size // 2, 999_000)),
    "pairs of halves": lambda size: _content(b"\\ud83d\\ude00" * min(size // 12, 499_000)),
    "half a pair at the end": lambda size: _content(b"a" * (size - 6) + b"\\ud83d"),
    "wide text": lambda size: _content(b"a" * (size - 4) + "\U0001f98a".encode()),
    "wide commas": lambda size: _content("\U0001f98a,".encode() * (size // 5)),
    "bad UTF-8 at the end": lambda size: _content(b"a" * (size - 1) + b"\xff"),
    "UTF-16": lambda size: _content(b"a" * (size // 2)).decode().encode("utf-16"),
    "nothing closed": lambda size: b'{"messages":[' + _QUESTION * 2 + b'"' + b"a" * size,
    "a good body and rubbish": lambda size: _content(b"a" * size) + b"]",
    "deep lists": lambda size: _deep(b"[", b"]", size),
    "deep objects": lambda size: _deep(b'{"a":', b"}", size),
    "deep metadata": lambda _: chat(metadata=_deep(b'{"a":', b"}", 6 * 199)),
    "deep message": lambda _: _message(b'"zz":' + _deep(b"[", b"]", 2 * 196)),
    "deep tools": lambda _: chat(
        tools=b'[{"type":"function","function":{"name":"f","a":' + _deep(b"[", b"]", 2 * 195) + b"}}]"
    ),
    "equal keys": lambda size: _message(list_of(b'"a":1', min(size, 59_000 * 6))[1:-1]),
    "messages twice": lambda size: chat()[:-1] + b',"messages":' + list_of(_QUESTION, min(size, 4999 * 30)) + b"}",
    "digits in a text": lambda size: _content(b"9" * size),
    "integers of 309 digits": lambda size: _metadata(list_of(b"9" * 309, size)),
    "integers of 20 digits": lambda size: _metadata(list_of(b"9" * 20, min(size, 59_000 * 21))),
    "small floats": lambda size: _metadata(list_of(b"5e-324", min(size, 59_000 * 7))),
    "long floats": lambda size: _metadata(list_of(b"0." + b"9" * 95, size)),
    "floats that are infinite": lambda size: _metadata(list_of(b"1e999", min(size, 59_000 * 6))),
    "white space": lambda size: b" " * size + chat(),
    "a long name of a session": lambda size: chat(session_id=b'"' + b"a " * (size // 2) + b'"'),
    "a long name of a model": lambda size: chat(model=b'"agent/' + b"a" * size + b'"'),
    "a long role": lambda size: chat(messages=b'[{"role":"' + b"a" * size + b'","content":"x"}]'),
    "a long type": lambda size: _part(b'{"type":"' + b"a" * size + b'"}'),
    "long stops": lambda size: chat(stop=list_of(b'"' + b"a" * (size // 17) + b'"', size)),
    "many stops": lambda size: chat(stop=list_of(b'"a"', min(size, 59_000 * 4))),
    "an image of many": lambda size: _part(b'{"type":"image_url","image_url":{"url":"http://a/' + b"A" * size + b'"}}'),
    "a sound of equal signs": lambda size: _part(
        b'{"type":"input_audio","input_audio":{"format":"wav","data":"' + b"=" * size + b'"}}'
    ),
    "a sound of many chunks": lambda size: _part(
        b'{"type":"input_audio","input_audio":{"format":"wav","data":"UklGRgAAAABXQVZF' + b"AAAA" * (size // 4) + b'"}}'
    ),
    "a schema": lambda size: chat(
        response_format=b'{"type":"json_schema","json_schema":{"name":"a","schema":{"enum":'
        + list_of(b'{"a":1}', min(size, 150_000))
        + b"}}}"
    ),
    "a choice": lambda size: chat(tool_choice=b"{" + keys_of(min(size, 590_000)) + b"}"),
}

SHAPES: dict[str, Shape] = {**REPORTED, **FURTHER}


def long_history(answers: int = 140, calls: int = 120) -> list[bytes]:
    """Requests that fill a conversation with tool calls, and a last one with late results for the oldest of them."""
    filling = [
        orjson.dumps(
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": f"{number}.{call}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                            for call in range(calls)
                        ],
                    }
                    for number in range(first, min(first + 70, answers))
                ]
                + [{"role": "user", "content": "x"}],
                "elevenlabs_extra_body": {"conversation_id": "late"},
            }
        )
        for first in range(0, answers, 70)
    ]
    oldest = 0
    results = [
        {"role": "tool", "tool_call_id": f"{oldest + number % 5}.{number % calls}", "content": "r"}
        for number in range(4900)
    ]
    late = {"messages": [*results, {"role": "user", "content": "x"}], "session_id": "late"}
    return [*filling, orjson.dumps(late)]


def sent_again(pairs: int = 2400) -> list[bytes]:
    """A long conversation, and the same once more: with another answer in its middle, and a new question."""
    talk = [
        message
        for number in range(pairs)
        for message in (
            {"role": "user", "content": f"question {number % 7}"},
            {"role": "assistant", "content": f"answer {number % 5}"},
        )
    ]
    edited = [*talk[:pairs], {"role": "assistant", "content": "another answer"}, *talk[pairs + 1 :]]
    question = {"role": "user", "content": "x"}
    return [
        orjson.dumps(
            {"messages": [*messages, question], "elevenlabs_extra_body": {"conversation_id": f"again {pairs}"}}
        )
        for messages in (talk, edited)
    ]
