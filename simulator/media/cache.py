import asyncio
from collections import OrderedDict

from simulator.media.formats import FORMATS, Format
from simulator.media.scene import Scene

_KEPT = 64  # renderings; the largest, a film, has less than 500 kB

_PRERENDERED = Scene("A picture rendered once for everyone")


class MediaCache:
    """Renders files in threads and keeps the latest few.

    Args:
        is_prerendered: Serve one file per format for every prompt, rendered by ``warm_up``, so that
            a load test measures its subject instead of Pillow.
    """

    def __init__(self, *, is_prerendered: bool) -> None:
        self._is_prerendered = is_prerendered
        self._files: OrderedDict[tuple[str, Scene], bytes] = OrderedDict()

    async def warm_up(self) -> None:
        """Render every format once, if the cache is configured to be prerendered."""
        if self._is_prerendered:
            for format_ in FORMATS.values():
                await self.get(format_, _PRERENDERED)

    async def get(self, format_: Format, scene: Scene) -> bytes:
        """The bytes of a scene in a format."""
        wanted = _PRERENDERED if self._is_prerendered else scene
        key = (format_.extension, wanted)
        content = self._files.get(key)
        if content is None:
            content = await asyncio.to_thread(format_.render, wanted)
            self._files[key] = content
        self._files.move_to_end(key)
        while len(self._files) > _KEPT:
            self._files.popitem(last=False)
        return content
