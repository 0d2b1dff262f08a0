from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from simulator.media.glb import render_glb
from simulator.media.mp3 import render_mp3
from simulator.media.mp4 import render_mp4
from simulator.media.other import render_svg, render_zip
from simulator.media.raster import render_gif, render_jpeg, render_png, render_webp
from simulator.media.scene import Scene
from simulator.media.wav import render_wav


class Medium(StrEnum):
    """What a model makes. ``text`` and ``json`` are values in the output; the rest are files."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    GLB = "glb"
    OTHER = "other"
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: its content type and how to render it."""

    extension: str
    medium: Medium
    content_type: str
    render: Callable[[Scene], bytes]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        name: Format(name, medium, content_type, render)
        for name, medium, content_type, render in (
            ("png", Medium.IMAGE, "image/png", render_png),
            ("jpg", Medium.IMAGE, "image/jpeg", render_jpeg),
            ("jpeg", Medium.IMAGE, "image/jpeg", render_jpeg),
            ("webp", Medium.IMAGE, "image/webp", render_webp),
            ("gif", Medium.IMAGE, "image/gif", render_gif),
            ("mp4", Medium.VIDEO, "video/mp4", render_mp4),
            ("wav", Medium.AUDIO, "audio/wav", render_wav),
            ("mp3", Medium.AUDIO, "audio/mpeg", render_mp3),
            ("glb", Medium.GLB, "model/gltf-binary", render_glb),
            ("svg", Medium.OTHER, "image/svg+xml", render_svg),
            ("zip", Medium.OTHER, "application/zip", render_zip),
        )
    }
)


def formats_of(medium: Medium) -> list[str]:
    """The extensions a medium offers, its default first; none for ``text`` and ``json``."""
    return [name for name, format_ in FORMATS.items() if format_.medium is medium]
