"""How large a picture is, by the first bytes of its file. Nothing of it is decoded."""

_JPEG_BEGIN = b"\xff\xd8"
# SOF0 to SOF15 without DHT, JPG and DAC, which have numbers among them.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Real files have some tens of segments before their frame; metadata in pieces of 64 kB are at most 160 in 10 MB.
_MOST_SEGMENTS = 1000


def size_of(media_type: str, data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG, JPEG or WebP; None if the file does not say them where it should."""
    readers = {"image/png": _of_png, "image/jpeg": _of_jpeg, "image/webp": _of_webp}
    size = readers[media_type](data)
    return size if size is not None and min(size) > 0 else None


def _of_png(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b"IHDR" or len(data) < 33:
        return None
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _of_jpeg(data: bytes) -> tuple[int, int] | None:
    at = len(_JPEG_BEGIN)
    for _ in range(_MOST_SEGMENTS):
        marker, length = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4])
        if len(marker) < 2 or marker[0] != 0xFF or length < 2:
            return None
        if marker[1] in _JPEG_FRAMES:
            height, width = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            return width, height
        at += 2 + length
    return None


def _of_webp(data: bytes) -> tuple[int, int] | None:
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None
