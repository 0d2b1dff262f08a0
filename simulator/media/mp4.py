"""Video: a few key frames in an MP4 container (ISO/IEC 14496-12 and -15), each with the notice burnt in."""

import struct

from PIL import Image

from simulator.media import h264
from simulator.media.raster import draw_picture, draw_progress
from simulator.media.scene import NOTICE, Scene

WIDTH, HEIGHT = 256, 144
FRAMES = 8
FRAMES_PER_SECOND = 4

_TIMESCALE = 1000
_TICKS_PER_FRAME = _TIMESCALE // FRAMES_PER_SECOND
_DURATION = FRAMES * _TICKS_PER_FRAME
_IDENTITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED = 0x55C4  # language "und", packed
_DPI_72 = 0x480000
_TRACK_ENABLED_IN_MOVIE = 3


def render_mp4(scene: Scene) -> bytes:
    """Render two seconds of H.264 without sound."""
    picture = draw_picture(Scene(scene.prompt, scene.variation, WIDTH, HEIGHT))
    samples = [_sample(picture, number) for number in range(FRAMES)]
    file_type = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2avc1mp41")
    sizes = [len(sample) for sample in samples]
    # The offset of the media data stands inside moov, whose length does not depend on its value.
    offset = len(file_type) + len(_movie(sizes, 0)) + 8
    return file_type + _movie(sizes, offset) + _box(b"mdat", *samples)


def _sample(picture: Image.Image, number: int) -> bytes:
    frame = h264.encode_frame(draw_progress(picture, (number + 1) / FRAMES), number)
    return struct.pack(">I", len(frame)) + frame


def _movie(sizes: list[int], offset: int) -> bytes:
    timing = struct.pack(">IIIIIH", 0, 0, _TIMESCALE, _DURATION, 0x10000, 0x100)
    header = _full_box(b"mvhd", 0, timing, bytes(10), _IDENTITY, bytes(24), struct.pack(">I", 2))
    return _box(b"moov", header, _track(sizes, offset), _user_data())


def _user_data() -> bytes:
    text = NOTICE.encode()
    return _box(b"udta", _full_box(b"cprt", 0, struct.pack(">H", _UNDETERMINED), text, b"\0"))


def _track(sizes: list[int], offset: int) -> bytes:
    ids = struct.pack(">IIIII", 0, 0, 1, 0, _DURATION)
    dimensions = struct.pack(">II", WIDTH << 16, HEIGHT << 16)
    header = _full_box(b"tkhd", _TRACK_ENABLED_IN_MOVIE, ids, bytes(16), _IDENTITY, dimensions)
    return _box(b"trak", header, _media(sizes, offset))


def _media(sizes: list[int], offset: int) -> bytes:
    header = _full_box(b"mdhd", 0, struct.pack(">IIIIHH", 0, 0, _TIMESCALE, _DURATION, _UNDETERMINED, 0))
    handler = _full_box(b"hdlr", 0, bytes(4), b"vide", bytes(12), b"Simulated\0")
    here = _full_box(b"dref", 0, struct.pack(">I", 1), _full_box(b"url ", 1))
    information = _box(b"minf", _full_box(b"vmhd", 1, bytes(8)), _box(b"dinf", here), _sample_table(sizes, offset))
    return _box(b"mdia", header, handler, information)


def _sample_table(sizes: list[int], offset: int) -> bytes:
    count = len(sizes)
    return _box(
        b"stbl",
        _full_box(b"stsd", 0, struct.pack(">I", 1), _visual_sample_entry()),
        _full_box(b"stts", 0, struct.pack(">III", 1, count, _TICKS_PER_FRAME)),
        _full_box(b"stsc", 0, struct.pack(">IIII", 1, 1, count, 1)),
        _full_box(b"stsz", 0, struct.pack(">II", 0, count), struct.pack(f">{count}I", *sizes)),
        _full_box(b"stco", 0, struct.pack(">II", 1, offset)),
    )


def _visual_sample_entry() -> bytes:
    return _box(
        b"avc1",
        bytes(6),
        struct.pack(">H", 1),  # data_reference_index
        bytes(16),
        struct.pack(">HHIIIH", WIDTH, HEIGHT, _DPI_72, _DPI_72, 0, 1),
        bytes(32),  # compressor name
        struct.pack(">Hh", 24, -1),  # depth, no colour table
        _decoder_configuration(),
    )


def _decoder_configuration() -> bytes:
    sequence, picture = h264.sequence_parameters(WIDTH, HEIGHT), h264.picture_parameters()
    profile = bytes((1, h264.PROFILE_IDC, h264.PROFILE_COMPATIBILITY, h264.LEVEL_IDC))
    one_sequence = b"\xff\xe1" + struct.pack(">H", len(sequence)) + sequence  # lengths of 4 bytes, 1 set
    one_picture = b"\x01" + struct.pack(">H", len(picture)) + picture
    return _box(b"avcC", profile, one_sequence, one_picture)


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full_box(kind: bytes, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)  # version 0 in the high byte
