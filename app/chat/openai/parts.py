"""The parts of a message's content. Only parts whose tokens can be bounded before the model call are accepted."""

import base64
import binascii
import re
import string
from collections.abc import Callable, Mapping

from app.chat_models.protocol import JsonObject
from app.sessions.messages import MessageRole

# Other schemes, such as `gs:` or `file:`, could reach data of the operator.
_PICTURE = re.compile(r"https?://|data:image/[a-z0-9.+-]+[;,]", re.IGNORECASE)
# The beginning of a file's data, after at most so many characters.
_FILE = re.compile(r"data:[a-z0-9.+-]+/[a-z0-9.+-]+(;[a-z0-9.+_=-]+)*;base64,(?=[a-z0-9+/])", re.IGNORECASE)
_FILE_HEAD = 200
_BASE64 = string.ascii_letters.encode() + string.digits.encode() + b"+/"

# A second of sound is at most about 50 tokens, and takes more bytes than that as MP3 or WAV, so the size of the data
# bounds the tokens. A WAV file with very few samples per second would break this bound, and so would other formats,
# which store hours of silence in a few bytes.
_LOWEST_SAMPLE_RATE = 4000
_MOST_PADDING = 2
# How many characters of base64 are decoded to recognize the file.
_HEAD = 4096


def check_part(part: JsonObject, role: str) -> None:
    """Check a part of a message of that role.

    Raises:
        ValueError: such a message cannot have the part, or the part is incomplete.
    """
    kind = part.get("type")
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None or (kind == "refusal" and role != MessageRole.ASSISTANT):
        raise ValueError(f"a message of role {role} has no part of type {str(kind)[:50]}")
    check(part)


def _check_text(part: JsonObject) -> None:
    if not isinstance(part.get("text"), str):
        raise ValueError("a part of type text needs text")


def _check_refusal(part: JsonObject) -> None:
    if not isinstance(part.get("refusal"), str):
        raise ValueError("a part of type refusal needs refusal")


def _check_image(part: JsonObject) -> None:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str) or not _PICTURE.match(url):
        raise ValueError("a part of type image_url needs image_url.url, an http(s) address or data:image/…")


def _check_audio(part: JsonObject) -> None:
    audio = part.get("input_audio")
    if not isinstance(audio, dict) or audio.get("format") not in ("wav", "mp3"):
        raise ValueError("a part of type input_audio needs input_audio.format, wav or mp3")
    data = audio.get("data")
    if not isinstance(data, str) or not _is_base64(data):
        raise ValueError("a part of type input_audio needs input_audio.data, the file itself in base64")
    head = _head(data)
    is_bounded = _is_mp3(head) if audio["format"] == "mp3" else _sample_rate(head) >= _LOWEST_SAMPLE_RATE
    if not is_bounded:
        raise ValueError("input_audio.data does not begin like a usual file of its format")


def _is_base64(data: str) -> bool:
    # A regular expression would look at each character of megabytes, which takes twenty times as long.
    if not data.isascii() or data.startswith("="):
        return False
    rest = data.encode().translate(None, _BASE64)
    return bool(data) and len(rest) <= _MOST_PADDING and rest == b"=" * len(rest) and data.endswith("=" * len(rest))


def _check_file(part: JsonObject) -> None:
    file = part.get("file")
    if isinstance(file, dict) and file.get("file_id") is not None:
        raise ValueError("this server keeps no files by their ids: send file.file_data instead of file.file_id")
    data = file.get("file_data") if isinstance(file, dict) else None
    if not isinstance(data, str) or not _FILE.match(data[:_FILE_HEAD]):
        raise ValueError("a part of type file needs file.file_data, the file itself as data:TYPE;base64,…")


def _head(data: str) -> bytes:
    try:
        return base64.b64decode(data[:_HEAD])
    except binascii.Error:
        return b""


def _is_mp3(head: bytes) -> bool:
    is_frame = len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0
    return is_frame or head.startswith(b"ID3")


def _sample_rate(head: bytes) -> int:
    """The samples per second of a WAV file; 0 if it is not one, or if `head` does not reach this field."""
    offset = 12 if head[:4] == b"RIFF" and head[8:12] == b"WAVE" else len(head)
    while offset + 16 <= len(head):
        if head[offset : offset + 4] == b"fmt ":
            return int.from_bytes(head[offset + 12 : offset + 16], "little")
        size = int.from_bytes(head[offset + 4 : offset + 8], "little")
        offset += 8 + size + size % 2
    return 0


_CHECKS: Mapping[str, Callable[[JsonObject], None]] = {
    "text": _check_text,
    "refusal": _check_refusal,
    "image_url": _check_image,
    "input_audio": _check_audio,
    "file": _check_file,
}
