import colorsys
import hashlib
from dataclasses import dataclass

Rgb = tuple[int, int, int]

_CAPTION = 400  # characters

NOTICE = "SIMULATED \N{EN DASH} no model was run"
"""What every rendered file says, visibly if its format can show it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What to render: equal scenes give equal bytes.

    Attributes:
        prompt: The words that the colours, tones and shapes are drawn from.
        variation: Tells the outputs of one prediction apart.
        width: Pixels, for media that have any.
        height: Pixels.
        pictures: The files of those that are to be changed.
        mask: The file of that which is transparent where they are; empty without one.
        speed: How fast sounds are: twice as fast, half as long.
    """

    prompt: str
    variation: int = 0
    width: int = 512
    height: int = 512
    pictures: tuple[bytes, ...] = ()
    mask: bytes = b""
    speed: float = 1.0

    @property
    def caption(self) -> str:
        """The prompt's beginning as one line of printable characters, for formats that have rules about text."""
        return "".join(letter if letter.isprintable() else " " for letter in self.prompt[:_CAPTION])

    def fingerprint(self) -> bytes:
        """Thirty-two bytes that depend on the prompt and the variation only."""
        return hashlib.sha256(f"{self.variation}:{self.prompt}".encode()).digest()

    def palette(self) -> tuple[Rgb, Rgb]:
        """A light and a dark colour that go together."""
        seed = self.fingerprint()
        hue = seed[0] / 255
        return _rgb(hue, 0.65, 0.95), _rgb(hue + 0.15 + seed[1] / 600, 0.75, 0.45)


def _rgb(hue: float, saturation: float, value: float) -> Rgb:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return int(255 * red), int(255 * green), int(255 * blue)
