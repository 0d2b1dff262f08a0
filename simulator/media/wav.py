"""Audio: a few tones chosen by the prompt, as 16-bit mono PCM."""

import array
import io
import math
import struct
import sys
import wave
from itertools import chain

from simulator.media.scene import NOTICE, Scene

SAMPLE_RATE = 16_000
SECONDS = 2.0

_NOTES = 6
_LOWEST_HZ = 220.0
_AMPLITUDE = 9_000
_FADE = 400  # samples; without it each note begins and ends with a click


def render_wav(scene: Scene) -> bytes:
    """Render two seconds of melody, at its speed, followed by an INFO chunk that holds the notice."""
    seed = scene.fingerprint()
    length = int(SECONDS / scene.speed * SAMPLE_RATE) // _NOTES
    tones = (_tone(_LOWEST_HZ * 2 ** (seed[note] % 12 / 12), length) for note in range(_NOTES))
    return _with_info(_pcm(array.array("h", chain.from_iterable(tones))))


def _tone(frequency: float, length: int) -> list[int]:
    step = 2 * math.pi * frequency / SAMPLE_RATE
    return [
        int(_AMPLITUDE * min(1.0, sample / _FADE, (length - sample) / _FADE) * math.sin(step * sample))
        for sample in range(length)
    ]


def _pcm(samples: "array.array[int]") -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


def _with_info(wav: bytes) -> bytes:
    text = NOTICE.encode() + b"\0"
    comment = b"INFOICMT" + struct.pack("<I", len(text)) + text + bytes(len(text) % 2)
    chunks = wav[8:] + b"LIST" + struct.pack("<I", len(comment)) + comment
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks
