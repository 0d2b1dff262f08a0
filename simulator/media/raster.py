"""Pictures: a gradient in the prompt's colours, the prompt, and the notice; drawn with Pillow."""

import io
import textwrap
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont, ImageOps, PngImagePlugin

from simulator.media.scene import NOTICE, Scene

_MARGIN = 0.06  # of the width, on each side of the text
_GLYPH_WIDTH = 0.55  # of the font size: the average letter of Pillow's own font
_PROMPT_LINES = 8
# Pillow's own font has no glyph for the dash.
_DRAWN_NOTICE = NOTICE.replace("\N{EN DASH}", "-")
_WHITE = (255, 255, 255)
_BLACK = (0, 0, 0)


def draw_picture(scene: Scene) -> Image.Image:
    """Draw the scene as an RGB image of its width and height."""
    image = _background(scene)
    draw = ImageDraw.Draw(image)
    _write_prompt(draw, scene)
    _write_notice(draw, scene)
    return image


def draw_progress(picture: Image.Image, share: float) -> Image.Image:
    """Copy the picture and draw a bar across this share (0 to 1) of its width: what moves in a film."""
    frame = picture.copy()
    bottom = frame.height - frame.height // 6
    bar = (0, bottom - frame.height // 30, round(frame.width * share), bottom)
    ImageDraw.Draw(frame).rectangle(bar, fill=_WHITE)
    return frame


def render_png(scene: Scene) -> bytes:
    """Render a PNG whose text chunks carry the prompt and the notice."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Prompt", scene.caption)
    info.add_itxt("Comment", NOTICE)
    return _encode(scene, "PNG", pnginfo=info)


def render_jpeg(scene: Scene) -> bytes:
    """Render a JPEG with the notice as its comment."""
    return _encode(scene, "JPEG", quality=85, comment=NOTICE)


def render_webp(scene: Scene) -> bytes:
    """Render a WebP."""
    return _encode(scene, "WEBP", quality=80)


def render_gif(scene: Scene) -> bytes:
    """Render a GIF of one frame with the notice as its comment."""
    return _encode(scene, "GIF", comment=NOTICE.encode())


def _encode(scene: Scene, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    draw_picture(scene).save(buffer, format_name, **options)
    return buffer.getvalue()


def _background(scene: Scene) -> Image.Image:
    if not scene.pictures:
        return _gradient(scene)
    first, *others = (_opened(each).convert("RGB") for each in scene.pictures)
    picture = first.resize((scene.width, scene.height))
    for index, other in enumerate(others):
        side = scene.width // 8
        picture.paste(other.resize((side, side)), (index % 8 * side, index // 8 * side))
    if scene.mask:
        kept = _opened(scene.mask).convert("RGBA").getchannel("A").resize(picture.size)
        picture = Image.composite(picture, _gradient(scene), kept)
    return picture


def measure_picture(data: bytes) -> tuple[int, int]:
    """The size of a picture in pixels.

    Raises:
        ValueError: It cannot be read to its end.
    """
    try:
        with _opened(data) as picture:
            picture.load()
            return picture.size
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def _gradient(scene: Scene) -> Image.Image:
    slope = Image.linear_gradient("L").rotate(90 * (scene.fingerprint()[2] % 4))
    mask = Image.blend(slope, Image.radial_gradient("L"), 0.4)
    light, dark = scene.palette()
    return ImageOps.colorize(mask, black=light, white=dark).resize((scene.width, scene.height))


def _write_prompt(draw: ImageDraw.ImageDraw, scene: Scene) -> None:
    size = max(10, scene.width // 18)
    columns = max(8, int(scene.width * (1 - 2 * _MARGIN) / (size * _GLYPH_WIDTH)))
    lines = textwrap.wrap(scene.caption, columns, max_lines=_PROMPT_LINES, placeholder=" ...")
    draw.multiline_text(
        (scene.width / 2, scene.height * 0.42),
        "\n".join(lines),
        font=_font(size),
        fill=_WHITE,
        anchor="mm",
        align="center",
        stroke_width=max(1, size // 12),
        stroke_fill=_BLACK,
    )


def _write_notice(draw: ImageDraw.ImageDraw, scene: Scene) -> None:
    band = scene.height // 8
    draw.rectangle((0, scene.height - band, scene.width, scene.height), fill=_BLACK)
    size = max(8, min(band // 2, scene.width // 20))
    position = (scene.width / 2, scene.height - band / 2)
    draw.text(position, _DRAWN_NOTICE, font=_font(size), fill=_WHITE, anchor="mm")


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
