"""Makes the README's picture of a screenshot: its upper part, small, with few colours."""

import sys
from pathlib import Path

from PIL import Image

_WIDTH, _HEIGHT, _COLOURS = 1440, 810, 64
_SCALE = 1.5


def make_picture(screenshot: Path, picture: Path) -> None:
    """Write the picture as PNG, at most 60 kB."""
    with Image.open(screenshot) as whole:
        part = whole.convert("RGB").crop((0, 0, _WIDTH, _HEIGHT))
        small = part.resize((round(_WIDTH / _SCALE), round(_HEIGHT / _SCALE)), Image.Resampling.LANCZOS)
    small.quantize(_COLOURS).save(picture, optimize=True)


if __name__ == "__main__":
    make_picture(Path(sys.argv[1]), Path(sys.argv[2]))
