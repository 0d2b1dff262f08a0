"""How servers differ in writing the same stream, below the level of its chunks."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import orjson

from simulator.faults.chat import ChatFault
from simulator.faults.parsing import ChatFaults
from simulator.openai.stream import DONE
from simulator.wire import Json

_PREFIX = b"data: "


async def flavoured(frames: AsyncGenerator[bytes, None], faults: ChatFaults) -> AsyncGenerator[bytes, None]:
    """The frames of a stream as a server with these faults writes them."""
    begin = b"\xef\xbb\xbf" if ChatFault.BYTE_ORDER_MARK in faults else b""
    ended = _unended(frames) if ChatFault.UNENDED_EVENT in faults else frames
    async with aclosing(ended):
        async for frame in ended:
            for piece in _split(frame, faults):
                yield begin + _with_line_ends(piece, faults)
                begin = b""


async def _unended(frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The frames without ``[DONE]``, the last one without its blank line."""
    last = b""
    async with aclosing(frames):
        async for frame in frames:
            if frame is not DONE:
                if last:
                    yield last
                last = frame
    yield last.rstrip()


def _with_line_ends(frame: bytes, faults: ChatFaults) -> bytes:
    if ChatFault.SINGLE_NEWLINES in faults:
        frame = frame.replace(b"\n\n", b"\n")
    return frame.replace(b"\n", b"\r") if ChatFault.CARRIAGE_RETURNS in faults else frame


def _split(frame: bytes, faults: ChatFaults) -> Iterator[bytes]:
    """Two frames, if the frame has a text with a character that a fault cuts in two."""
    is_escaped = ChatFault.SPLIT_PAIRS in faults
    if not (is_escaped or ChatFault.SPLIT_BYTES in faults) or not frame.startswith(_PREFIX + b"{"):
        yield frame
        return
    document = orjson.loads(frame.removeprefix(_PREFIX))
    delta = document["choices"][0]["delta"] if document["choices"] else {}
    for text in _halves(delta.get("content") or "", is_escaped=is_escaped):
        yield _frame({**document, "choices": [{**document["choices"][0], "delta": {**delta, "content": text}}]})
    if "content" not in delta or not delta["content"]:
        yield frame


def _halves(text: str, *, is_escaped: bool) -> Iterator[str]:
    """The text, cut within its first character that has two halves. Python writes what is broken as surrogates."""
    if not text:
        return
    lowest = 0x10000 if is_escaped else 0x80
    at = next((index for index, character in enumerate(text) if ord(character) >= lowest), None)
    if at is None:
        yield text
        return
    if is_escaped:
        pair = text[at].encode("utf-16-be")
        halves = [half.decode("utf-16-be", "surrogatepass") for half in (pair[:2], pair[2:])]
    else:
        encoded = text[at].encode()
        halves = [half.decode("utf-8", "surrogateescape") for half in (encoded[:1], encoded[1:])]
    yield text[:at] + halves[0]
    yield halves[1] + text[at + 1 :]


def _frame(document: Json) -> bytes:
    """A frame whose texts may be broken: halves of pairs are escaped, half characters are bytes."""
    try:
        text = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        text = json.dumps(document).encode()
    return _PREFIX + text + b"\n\n"
