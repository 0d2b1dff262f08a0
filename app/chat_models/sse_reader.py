import re
from collections.abc import Iterable, Iterator

import orjson

from app.core.errors import ProviderError

# One event contains one chunk of an answer. The longest real ones, with base64 audio, are far shorter than this.
MAX_EVENT_BYTES = 1024 * 1024
# The data of the event that ends a stream.
DONE = b"[DONE]"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What servers send to keep a connection open, other than comments. It is no part of an answer.
_KEEP_ALIVE = re.compile(rb"\W*(ping|pong|keep[-_ ]?alive|heart[-_ ]?beat|null)\W*", re.IGNORECASE)
_LONGEST_WORD = 32
_LINE_END = re.compile(rb"\r\n|\n|\r")
_EVENT_END = b"\n\n"


class SseReader:
    """Parses `text/event-stream` bytes as they arrive and returns the data of each event.

    A chat completion uses only `data`. Comments, `event`, `id`, `retry` and events without data are ignored. It does
    not matter how the bytes are split into pieces. Lines end in LF, CR LF or CR. Servers that send no blank line
    between events are understood: a line that is a whole document is an event of its own if another one follows it.
    """

    __slots__ = ("_data", "_data_size", "_is_after_return", "_is_first_line", "_unended")

    def __init__(self) -> None:
        self._data: list[bytes] = []
        self._data_size = 0
        self._is_first_line = True
        self._is_after_return = False
        self._unended = bytearray()

    def feed(self, piece: bytes) -> Iterable[bytes]:
        """The data of every event that `piece` completes. Several `data` lines are joined by line feeds.

        Raises:
            ProviderError: a line or the data of an event is longer than `MAX_EVENT_BYTES`; maybe only while the events
                are read.
        """
        whole = None if self._data or self._unended or self._is_after_return else _whole_events(piece)
        if whole is None:
            return self._taken_of(piece)
        self._is_first_line = False
        return whole

    def _taken_of(self, piece: bytes) -> Iterator[bytes]:
        for line in self._lines(piece):
            yield from self._take(line)

    def rest(self) -> Iterator[bytes]:
        """The data of the events that the end of the body has ended instead of a blank line. The last may be cut."""
        line, self._unended = bytes(self._unended), bytearray()
        if line:
            yield from self._take(self._without_mark(line))
        if data := _with_usual_words(self._taken()):
            yield data

    def _take(self, line: bytes) -> Iterator[bytes]:
        # Some gateways write an error into a stream as it is, without a field's name.
        if line.startswith((b"data:", b"{", b"[{")):
            value = line.removeprefix(b"data:").removeprefix(b" ")
            if self._is_whole():
                yield _with_usual_words(self._taken())
            self._append(value)
        elif line == b"data":
            self._append(b"")
        elif not line and (data := _with_usual_words(self._taken())):
            yield data

    def _taken(self) -> bytes:
        data = b"\n".join(self._data)
        self._data.clear()
        self._data_size = 0
        return data

    def _is_whole(self) -> bool:
        """Whether the only line so far is a whole document. Only the first line of an event is ever looked at."""
        if len(self._data) != 1:
            return False
        (line,) = self._data
        if line.strip() == DONE:
            return True
        try:
            return line.lstrip().startswith(b"{") and isinstance(orjson.loads(line), dict)
        except orjson.JSONDecodeError:
            return False

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        """The lines that `piece` completes, without their line ends. What comes after the last line end is kept."""
        if self._is_after_return and piece:
            # The line feed belongs to the line that the carriage return before it has ended.
            piece = piece.removeprefix(b"\n")
            self._is_after_return = False
        if b"\n" in piece or b"\r" in piece:
            self._is_after_return = piece.endswith(b"\r")
            *lines, rest = _LINE_END.split(bytes(self._unended) + piece)
            self._unended = bytearray(rest)
            for line in lines:
                _check_size(len(line))
                yield self._without_mark(line)
        else:
            self._unended += piece
        _check_size(len(self._unended))

    def _without_mark(self, line: bytes) -> bytes:
        if self._is_first_line:
            self._is_first_line = False
            return line.removeprefix(_BYTE_ORDER_MARK)
        return line

    def _append(self, value: bytes) -> None:
        self._data_size += len(value)
        _check_size(self._data_size)
        self._data.append(value)


def _whole_events(piece: bytes) -> list[bytes] | None:
    """The data of the events, if the piece is whole events of one `data` line each, as most servers send them."""
    if not piece.endswith(_EVENT_END) or b"\r" in piece or len(piece) > MAX_EVENT_BYTES:
        return None
    found = []
    for event in piece[: -len(_EVENT_END)].split(_EVENT_END):
        if not event.startswith(b"data:") or b"\n" in event:
            return None
        if data := _with_usual_words(event[5:].removeprefix(b" ")):
            found.append(data)
    return found


def _with_usual_words(data: bytes) -> bytes:
    """The data of an event; `DONE` however the server spells it, and nothing if it only keeps the connection open."""
    if data.startswith(b"{") or len(data) > _LONGEST_WORD:
        return data
    if data.strip(b' \t"[]').upper() == DONE.strip(b"[]"):
        return DONE
    return b"" if _KEEP_ALIVE.fullmatch(data) else data


def _check_size(size: int) -> None:
    if size > MAX_EVENT_BYTES:
        raise ProviderError("The model provider sent an event that is too long")
