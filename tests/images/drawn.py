"""Small pictures for requests, and what is seen in those that come back."""

import base64
import io
import struct
import zlib

from PIL import Image

RED, BLUE = (250, 10, 10), (10, 10, 250)


def picture(colour: tuple[int, ...] = RED, size: tuple[int, int] = (96, 64), kind: str = "PNG") -> bytes:
    """A picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def noise(side: int) -> bytes:
    """A PNG that cannot be compressed: three bytes for each pixel."""
    buffer = io.BytesIO()
    Image.effect_noise((side, side), 90).convert("RGB").save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def claims_size(width: int, height: int) -> bytes:
    """The beginning of a PNG of any size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + bytes(100)


def seen(b64_json: str | None) -> tuple[tuple[int, int], tuple[int, int, int]]:
    """The size of a picture, and the colour near its upper edge."""
    opened = Image.open(io.BytesIO(base64.b64decode(b64_json or "", validate=True))).convert("RGB")
    at = opened.getpixel((opened.width // 2, 2))
    assert isinstance(at, tuple)
    return opened.size, (int(at[0]), int(at[1]), int(at[2]))


def is_near(colour: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether two colours differ by no more than what compression does to them."""
    return all(abs(one - other) < 12 for one, other in zip(colour, expected, strict=True))
