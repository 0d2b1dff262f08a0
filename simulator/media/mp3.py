"""Audio as MP3: an ID3 tag with the notice, then frames of silence."""

import struct

from simulator.media.scene import NOTICE, Scene

_FRAME_HEADER = bytes((0xFF, 0xFB, 0x90, 0xC4))  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz, mono, no CRC
_FRAME_BYTES = 417  # 144 * bitrate / sample rate, unpadded
_FRAMES = 77  # 1152 samples each: two seconds


def render_mp3(scene: Scene) -> bytes:
    """Render two seconds of silence, at its speed, titled with the prompt."""
    # Side information of zeros means: no main data, every band empty.
    silence = _FRAME_HEADER + bytes(_FRAME_BYTES - len(_FRAME_HEADER))
    return _id3(title=scene.caption, artist=NOTICE) + silence * round(_FRAMES / scene.speed)


def _id3(*, title: str, artist: str) -> bytes:
    frames = _text_frame(b"TIT2", title) + _text_frame(b"TPE1", artist)
    return b"ID3\x04\x00\x00" + _synchsafe(len(frames)) + frames


def _text_frame(name: bytes, text: str) -> bytes:
    payload = b"\x03" + text.encode()  # 3: UTF-8
    return name + _synchsafe(len(payload)) + bytes(2) + payload


def _synchsafe(number: int) -> bytes:
    sevens = [(number >> shift) & 0x7F for shift in (21, 14, 7, 0)]
    return struct.pack("4B", *sevens)
