"""Pictures that an input names, read as a model reads them: from data URLs, or over HTTP."""

import asyncio
import base64
import binascii
import re

import aiohttp

from simulator.media.raster import measure_picture
from simulator.media.scene import Scene
from simulator.wire import Json

_FIELDS = ("image", "input_image", "image_input", "input_images", "images")
_DATA_URL = re.compile(r"data:[^,]{0,100};base64,")
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_SMALLEST, _LARGEST = 64, 1024  # pixels


class UnreadableInputError(Exception):
    """The model cannot read a file that its input names."""


async def read_scene(values: Json, prompt: str) -> Scene:
    """What a model that changes pictures makes of them: a scene of the size of the first one.

    Raises:
        UnreadableInputError: There are none, or one of them cannot be read.
    """
    given: object = next((values[name] for name in _FIELDS if values.get(name)), [])
    pictures = [await _read(each) for each in (given if isinstance(given, list) else [given])]
    if not pictures:
        raise UnreadableInputError("The input names no image (simulated)")
    mask = values.get("mask")
    try:
        width, height = await asyncio.to_thread(measure_picture, pictures[0])
        for other in pictures[1:]:
            await asyncio.to_thread(measure_picture, other)
    except ValueError as error:
        raise UnreadableInputError(f"cannot identify image file: {error} (simulated)") from error
    scale = min(1.0, _LARGEST / max(width, height))
    width, height = (max(_SMALLEST, round(side * scale)) for side in (width, height))
    return Scene(prompt, 0, width, height, tuple(pictures), b"" if mask is None else await _read(mask))


async def _read(url: object) -> bytes:
    if not isinstance(url, str):
        raise UnreadableInputError("An image must be a URL (simulated)")
    match = _DATA_URL.match(url)
    try:
        return base64.b64decode(url[match.end() :], validate=True) if match else await _fetch(url)
    except (binascii.Error, ValueError, aiohttp.ClientError, TimeoutError) as error:
        raise UnreadableInputError(f"cannot read {url[:200]}: {error!r} (simulated)") from error


async def _fetch(url: str) -> bytes:
    async with aiohttp.ClientSession(timeout=_TIMEOUT, raise_for_status=True) as session, session.get(url) as response:
        return await response.read()
