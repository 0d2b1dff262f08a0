"""The response with images. Their bytes are read from the store while they are sent."""

import base64
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from time import time
from typing import Any

import orjson
from starlette.responses import Response

from app.content.service import ContentWithOutputs
from app.content.urls import FileUrls
from app.core.long_response import LongResponse
from app.direct_generations.readable_files import check_readable
from app.direct_generations.service import Made
from app.generations.models import Output
from app.idempotency.service import REPLAYED_HEADERS
from app.images.schemas import shown
from app.storage.protocol import ObjectStore

_Image = tuple[str, Output]


@dataclass(frozen=True)
class Pictured:
    """How images are shown: `event` is the name of that which a stream has for each. Bytes are read from the store."""

    store: ObjectStore
    urls: FileUrls
    event: str
    has_bytes: bool

    async def body(self, made: Made) -> Response:
        """The images in OpenAI's form.

        Raises:
            StoreError: the store cannot be read.
        """
        images = await self._images(made)
        listed = [self._listed(each) for each in made.contents]
        body = _pieces(images, listed, self.store if self.has_bytes else None)
        return LongResponse(body, media_type="application/json", headers=REPLAYED_HEADERS if made.is_replayed else {})

    async def events(self, made: Made) -> AsyncGenerator[bytes]:
        """An event for each image.

        Raises:
            StoreError: the store cannot be read.
        """
        return _events(self.event.encode(), await self._images(made), self.store if self.has_bytes else None)

    async def _images(self, made: Made) -> Sequence[_Image]:
        images = [(self.urls.of(each.content, output), output) for each in made.contents for output in each.outputs]
        if self.has_bytes:
            for _, output in images[:1]:
                await check_readable(output, self.store)
        return images

    def _listed(self, each: ContentWithOutputs) -> dict[str, Any]:
        return shown(
            str(each.content.id),
            status=each.content.status,
            content_type=each.content.content_type,
            storage_url=self.urls.of(each.content, each.outputs[0]) if each.outputs else None,
            error_message=each.content.error_message,
        )


async def _pieces(
    images: Sequence[_Image], listed: Sequence[dict[str, Any]], store: ObjectStore | None
) -> AsyncIterator[bytes]:
    begin = b'{"created":%d,"data":[' % int(time())
    for url, output in images:
        yield begin + b"{"
        async for piece in _fields(url, output, store):
            yield piece
        yield b"}"
        begin = b","
    yield b'],"generated_content":' + orjson.dumps(listed) + b"}"


async def _events(event: bytes, images: Sequence[_Image], store: ObjectStore | None) -> AsyncGenerator[bytes]:
    for url, output in images:
        yield b'event: %b\ndata: {"type":"%b","created_at":%d,' % (event, event, int(time()))
        async for piece in _fields(url, output, store):
            yield piece
        yield b"}\n\n"


async def _fields(url: str, output: Output, store: ObjectStore | None) -> AsyncIterator[bytes]:
    """The URL of an image and, with a store, its bytes."""
    yield b'"url":' + orjson.dumps(url)
    if store is not None:
        yield b',"b64_json":"'
        async for piece in _base64(store.read(output.storage_path)):
            yield piece
        yield b'"'


async def _base64(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The bytes in base64: each piece but the last is of whole groups of three."""
    rest = b""
    async for chunk in chunks:
        given = rest + chunk
        whole = len(given) - len(given) % 3
        rest = given[whole:]
        yield base64.b64encode(given[:whole])
    yield base64.b64encode(rest)
