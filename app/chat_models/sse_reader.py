from collections.abc import Iterator

from app.core.errors import ProviderError

# One event contains one chunk of an answer. The longest real ones, with base64 audio, are far shorter than this.
MAX_EVENT_BYTES = 1024 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class SseReader:
    """Parses `text/event-stream` bytes as they arrive and returns the data of each event.

    A chat completion uses only `data`. Comments, `event`, `id`, `retry` and events without data are ignored. An event
    counts once its blank line has been read, so one that is cut off gives nothing. It does not matter how the bytes are
    split into pieces. Lines end in LF or CR LF; no chat server uses the bare CR that the format also allows.
    """

    __slots__ = ("_data", "_data_size", "_is_first_line", "_unended")

    def __init__(self) -> None:
        self._data: list[bytes] = []
        self._data_size = 0
        self._is_first_line = True
        self._unended = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of every event that `piece` completes. Several `data` lines are joined by line feeds.

        Raises:
            ProviderError: a line or the data of an event is longer than `MAX_EVENT_BYTES`.
        """
        for line in self._lines(piece):
            if line.startswith(b"data:"):
                self._append(line[6:] if line[5:6] == b" " else line[5:])
            elif line == b"data":
                self._append(b"")
            elif not line and self._data:
                data = b"\n".join(self._data)
                self._data.clear()
                self._data_size = 0
                if data:
                    yield data

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        """The lines that `piece` completes, without their line ends. What comes after the last line end is kept."""
        self._unended += piece
        if b"\n" in piece:
            *lines, rest = bytes(self._unended).split(b"\n")
            self._unended = bytearray(rest)
            for line in lines:
                _check_size(len(line))
                yield self._without_mark(line.removesuffix(b"\r"))
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


def _check_size(size: int) -> None:
    if size > MAX_EVENT_BYTES:
        raise ProviderError("The model provider sent an event that is too long")
