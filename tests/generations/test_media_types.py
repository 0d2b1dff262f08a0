import io
import json
import math
import struct
import wave
import zipfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from app.generations.media_types import JSON, SNIFF_BYTES, SVG, TEXT, UNKNOWN, ContentType, MediaType, sniff


def picture(file_format: str) -> bytes:
    target = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(target, file_format)
    return target.getvalue()


def sound() -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(at / 5))) for at in range(8000)))
    return target.getvalue()


def archive() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("a.txt", "content")
    return target.getvalue()


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    brands = b"".join(compatible)
    return (
        struct.pack(">I", 16 + len(brands)) + b"ftyp" + major + b"\x00\x00\x02\x00" + brands + b"\x00\x00\x00\x08free"
    )


def ebml(doc_type: bytes) -> bytes:
    """The header as ffmpeg writes it: four numbers, the document type, its versions, the segment."""
    numbers = b"\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08"
    kind = b"\x42\x82" + bytes([0x80 | len(doc_type)]) + doc_type
    body = numbers + kind + b"\x42\x87\x81\x04\x42\x85\x81\x02"
    return b"\x1a\x45\xdf\xa3\x01" + len(body).to_bytes(7) + body + b"\x18\x53\x80\x67\x01" + b"\xff" * 7


def ogg(packet: bytes) -> bytes:
    """The first page of a stream, which holds the codec's first packet alone."""
    return b"OggS\x00\x02" + b"\x00" * 20 + bytes([1, len(packet)]) + packet


def mp3_frames(header: bytes, length: int, count: int) -> bytes:
    return (header + b"\x55" * (length - 4)) * count


# MPEG-1 Layer III, 128 kbit/s, 44.1 kHz: 144 * 128000 // 44100 bytes.
FRAME, FRAME_BYTES = b"\xff\xfb\x90\x64", 417

GLB = b"glTF" + struct.pack("<II", 2, 20) + struct.pack("<I", 0) + b"JSON"

KNOWN = {
    "png": (picture("PNG"), MediaType(ContentType.IMAGE, "image/png", "png")),
    "jpeg": (picture("JPEG"), MediaType(ContentType.IMAGE, "image/jpeg", "jpg")),
    "gif": (picture("GIF"), MediaType(ContentType.IMAGE, "image/gif", "gif")),
    "webp": (picture("WEBP"), MediaType(ContentType.IMAGE, "image/webp", "webp")),
    "avif": (picture("AVIF"), MediaType(ContentType.IMAGE, "image/avif", "avif")),
    "heic": (ftyp(b"mif1", b"mif1", b"heic"), MediaType(ContentType.IMAGE, "image/heic", "heic")),
    "mp4": (ftyp(b"isom", b"isom", b"iso2", b"avc1", b"mp41"), MediaType(ContentType.VIDEO, "video/mp4", "mp4")),
    "mp4, fragmented": (ftyp(b"iso5", b"iso5", b"iso6", b"mp41"), MediaType(ContentType.VIDEO, "video/mp4", "mp4")),
    "mp4, by a compatible brand": (ftyp(b"NEW!", b"mp42"), MediaType(ContentType.VIDEO, "video/mp4", "mp4")),
    "mov": (ftyp(b"qt  ", b"qt  "), MediaType(ContentType.VIDEO, "video/quicktime", "mov")),
    "m4a": (ftyp(b"M4A ", b"M4A ", b"isom", b"iso2"), MediaType(ContentType.AUDIO, "audio/mp4", "m4a")),
    "webm": (ebml(b"webm"), MediaType(ContentType.VIDEO, "video/webm", "webm")),
    "matroska": (ebml(b"matroska"), MediaType(ContentType.OTHER, "video/x-matroska", "mkv")),
    "wav": (sound(), MediaType(ContentType.AUDIO, "audio/wav", "wav")),
    "flac": (b"fLaC\x00\x00\x00\x22" + b"\x10" * 34, MediaType(ContentType.AUDIO, "audio/flac", "flac")),
    "ogg vorbis": (ogg(b"\x01vorbis" + b"\x00" * 23), MediaType(ContentType.AUDIO, "audio/ogg", "ogg")),
    "ogg opus": (ogg(b"OpusHead\x01\x02" + b"\x00" * 9), MediaType(ContentType.AUDIO, "audio/ogg", "ogg")),
    "ogg theora": (
        ogg(b"\x80theora\x03\x02\x01") + ogg(b"\x01vorbis"),
        MediaType(ContentType.OTHER, "video/ogg", "ogv"),
    ),
    "ogg, something else": (ogg(b"fishead\x00"), MediaType(ContentType.OTHER, "application/ogg", "ogx")),
    "mp3 with tag": (
        b"ID3\x04\x00\x00\x00\x00\x02\x01" + b"\x00" * 300,
        MediaType(ContentType.AUDIO, "audio/mpeg", "mp3"),
    ),
    "mp3 without tag": (mp3_frames(FRAME, FRAME_BYTES, 2), MediaType(ContentType.AUDIO, "audio/mpeg", "mp3")),
    "mp3, MPEG-2 at 24 kHz": (
        mp3_frames(b"\xff\xf3\x84\xc4", 192, 3),
        MediaType(ContentType.AUDIO, "audio/mpeg", "mp3"),
    ),
    "glb": (GLB, MediaType(ContentType.GLB, "model/gltf-binary", "glb")),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", MediaType(ContentType.OTHER, "application/pdf", "pdf")),
    "zip": (archive(), MediaType(ContentType.OTHER, "application/zip", "zip")),
    "zip, empty": (b"PK\x05\x06" + b"\x00" * 18, MediaType(ContentType.OTHER, "application/zip", "zip")),
}


@pytest.mark.parametrize(("content", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_a_known_kind_is_told_by_its_first_bytes(content: bytes, expected: MediaType) -> None:
    assert sniff(content[:SNIFF_BYTES]) == expected
    assert sniff(content + b"\x00" * 9000) == expected


@pytest.mark.parametrize(("content", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_a_header_cut_anywhere_is_that_kind_or_no_other(content: bytes, expected: MediaType) -> None:
    allowed = {expected, UNKNOWN, TEXT, MediaType(ContentType.OTHER, "application/ogg", "ogx")}

    assert {sniff(content[:length]) for length in range(64)} <= allowed


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"\x89PNG\r\n\x1a",
        b"RIFF\x00\x00\x00\x00AVI LIST",
        FRAME + b"\x00" * 2000,
        mp3_frames(FRAME, FRAME_BYTES - 1, 5),
        mp3_frames(FRAME, FRAME_BYTES, 1) + b"\xff\xfb\x94\x64",  # the second frame has another sampling rate
        mp3_frames(b"\xff\xfb\xf0\x64", FRAME_BYTES, 5),  # bitrate 15 is forbidden
        b"\xff\xfeh\x00i\x00",  # UTF-16
        ftyp(b"crx ", b"crx "),
        b"\xff\xf1\x50\x80" + b"\x00" * 100,
    ],
)
def test_what_is_not_known_is_bytes(content: bytes) -> None:
    assert sniff(content) == UNKNOWN == MediaType(ContentType.OTHER, "application/octet-stream", "bin")


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "Grüße, 日本\r\n\tand a page break\f",
        "\ufeffwith a byte order mark",
        *("ID3 is a kind of tag", "glTF is a format", "fLaC too", "OggS as well", "RIFF and WAVE", "PK"),
        *("[1] a footnote", "[see] above", "{name} is a placeholder", "{", '"a string"', "42", "null", "[a](b)"),
        "<html><svg></svg></html>",
        "<svgfoo>",
        "<?xml version='1.0'?><rss/>",
    ],
)
def test_text_is_text(text: str) -> None:
    assert sniff(text.encode()) == TEXT == MediaType(ContentType.OTHER, "text/plain", "txt")


@pytest.mark.parametrize("unit", ["ä", "日", "𝄞"])
def test_a_character_that_is_cut_at_the_end_of_the_head_is_still_text(unit: str) -> None:
    for lead in range(4):
        head = ("." * lead + unit * SNIFF_BYTES).encode()[:SNIFF_BYTES]

        assert sniff(head) == TEXT


def test_a_character_that_is_cut_at_the_end_of_the_file_is_not_text() -> None:
    assert sniff("Grüße".encode()[:3]) == UNKNOWN


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"a": [1, -2.5e-7, True, None, "x"], "b": {"c": 'quoted "\\ \u00fc 日'}},
        [[0.5, 1.5]],
        [{"label": "cat", "score": 0.98}],
        [None, False],
        ["text"],
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("is_ascii", [True, False])
def test_json_is_json(value: object, indent: int | None, *, is_ascii: bool) -> None:
    content = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode()

    assert sniff(content) == sniff(b"\n " + content + b"\n") == JSON
    assert (JSON.content_type, JSON.media_type, JSON.extension) == ("other", "application/json", "json")


@settings(deadline=None)
@given(start=st.integers(0, 200))
def test_json_that_is_cut_anywhere_is_json(start: int) -> None:
    value = [
        " " * start,
        *({"number": -12.5e30, "text": 'a "\\u00fc" \\', "flag": True, "none": None} for _ in range(99)),
    ]

    assert sniff(json.dumps(value).encode()[:SNIFF_BYTES]) == JSON


@pytest.mark.parametrize(
    "prolog",
    [
        "",
        "\ufeff",
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        "<!-- drawn -->\n<!-- by hand > -->",
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n',
        '<?xml version="1.0"?>\n<!-- x --><!DOCTYPE svg [\n<!ENTITY ns "http://www.w3.org/2000/svg">\n]>',
    ],
)
def test_svg_is_no_image_for_it_may_carry_scripts(prolog: str) -> None:
    assert sniff((prolog + '<svg xmlns="http://www.w3.org/2000/svg"/>').encode()) == SVG
    assert (SVG.content_type, SVG.media_type, SVG.extension) == ("other", "image/svg+xml", "svg")


@settings(deadline=None)
@given(st.binary(max_size=SNIFF_BYTES + 10))
@example(b"[" * SNIFF_BYTES)
@example(b"<!--" * 1024)
@example(b"<!---->" * 585)
@example(b'{"' + b'\\"' * 2047)
@example(b"\x00\x00\x00\x00ftyp")
@example(b"\xff\xff\xff\xffftypABCD")
@example(b"\xff\xfb\x90\x64")
def test_it_never_raises(head: bytes) -> None:
    assert isinstance(sniff(head), MediaType)


@settings(deadline=None)
@given(st.sampled_from(sorted(KNOWN)), st.integers(0, 80), st.binary(max_size=30))
def test_it_never_raises_on_a_damaged_header(name: str, cut: int, rest: bytes) -> None:
    assert isinstance(sniff(KNOWN[name][0][:cut] + rest), MediaType)
