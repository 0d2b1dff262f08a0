"""Files that are neither picture, film, sound nor mesh: a drawing as SVG, an archive as ZIP."""

import io
import zipfile
from html import escape

from simulator.media.scene import NOTICE, Scene

_EPOCH = (2026, 1, 1, 0, 0, 0)  # a fixed time keeps equal scenes byte for byte equal


def render_svg(scene: Scene) -> bytes:
    """Render a gradient with the prompt and the notice as text."""
    light, dark = ("#" + bytes(color).hex() for color in scene.palette())
    middle = scene.width // 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{scene.width}" height="{scene.height}">'
        f'<linearGradient id="g"><stop stop-color="{light}"/><stop offset="1" stop-color="{dark}"/></linearGradient>'
        f'<rect width="100%" height="100%" fill="url(#g)"/>'
        f'<text x="{middle}" y="45%" text-anchor="middle" font-family="sans-serif">{escape(scene.caption)}</text>'
        f'<text x="{middle}" y="95%" text-anchor="middle" font-family="sans-serif">{escape(NOTICE)}</text>'
        "</svg>\n"
    ).encode()


def render_zip(scene: Scene) -> bytes:
    """Render an archive that holds the notice and the SVG."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("README.txt", _EPOCH), f"{NOTICE}\nPrompt: {scene.prompt}\n")
        archive.writestr(zipfile.ZipInfo("drawing.svg", _EPOCH), render_svg(scene))
    return buffer.getvalue()
