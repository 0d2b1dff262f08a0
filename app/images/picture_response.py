"""The response with images. Their bytes are read from the store while they are sent."""

import base64
from collections.abc import AsyncIterator, Sequence
from time import time
from typing import Any

import orjson
from starlette.responses import Response

from app.content.urls import FileUrls
from app.core import sse
from app.core.long_response import LongResponse
from app.generations.models import Output
from app.idempotency.service import REPLAYED_HEADERS
from app.images.schemas import shown
from app.images.service import ImagesMade
from app.storage.protocol import ByteRange, ObjectStore, StoreError

_Image = tuple[str, Output]
_COMPLETED = b"image_generation.completed"


async def respond(
    made: ImagesMade, store: ObjectStore, urls: FileUrls, *, has_bytes: bool, is_streamed: bool = False
) -> Response:
    """The images in OpenAI's form; as a stream, an event for each.

    Raises:
        StoreError: the store cannot be read.
    """
    images = [(urls.of(each.content, output), output) for each in made.contents for output in each.outputs]
    if has_bytes:
        await _check(images, store)
    listed = [
        shown(
            str(each.content.id),
            status=each.content.status,
            content_type=each.content.content_type,
            storage_url=urls.of(each.content, each.outputs[0]) if each.outputs else None,
            error_message=each.content.error_message,
        )
        for each in made.contents
    ]
    headers = REPLAYED_HEADERS if made.is_replayed else {}
    if is_streamed:
        return LongResponse(_events(images, store if has_bytes else None), headers=headers | sse.HEADERS)
    body = _pieces(images, listed, store if has_bytes else None)
    return LongResponse(body, media_type="application/json", headers=headers)


async def _check(images: Sequence[_Image], store: ObjectStore) -> None:
    """Read a byte: if the store is away, the response can still say so by its status."""
    try:
        for _, output in images[:1]:
            async for _ in store.read(output.storage_path, ByteRange(0, 0)):
                pass
    except StoreError as error:
        # The images are made and charged. A repetition would make others.
        error.retryable = False
        raise


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


async def _events(images: Sequence[_Image], store: ObjectStore | None) -> AsyncIterator[bytes]:
    for url, output in images:
        yield b'event: %b\ndata: {"type":"%b","created_at":%d,' % (_COMPLETED, _COMPLETED, int(time()))
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
