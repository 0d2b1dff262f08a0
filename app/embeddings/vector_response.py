"""The response with vectors. A long one is written while it is sent, so that it is never whole in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import orjson
from fastapi import Response

from app.core.long_response import LongResponse
from app.embeddings.asked import EmbeddingsResult
from app.embeddings.vectors import EncodingFormat, Vector, write_vector
from app.idempotency.service import REPLAYED_HEADERS

_SHORT_BYTES: Final = 64 * 1024


def respond(result: EmbeddingsResult, form: EncodingFormat) -> Response:
    """The result in OpenAI's form."""
    headers = REPLAYED_HEADERS if result.is_replayed else {}
    usage = {"prompt_tokens": result.tokens, "total_tokens": result.tokens}
    end = b'],"model":' + orjson.dumps(result.model) + b',"usage":' + orjson.dumps(usage) + b"}"
    pieces = _pieces(result.vectors, form, end)
    if result.size <= _SHORT_BYTES:
        return Response(b"".join(pieces), media_type="application/json", headers=headers)
    return LongResponse(_one_by_one(pieces), media_type="application/json", headers=headers)


async def _one_by_one(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        # Others get their turn even if the client reads as fast as this writes.
        await asyncio.sleep(0)


def _pieces(vectors: Sequence[Vector], form: EncodingFormat, end: bytes) -> Iterator[bytes]:
    begin = b'{"object":"list","data":['
    for index, vector in enumerate(vectors):
        written = write_vector(vector, form)
        yield begin + b'{"object":"embedding","index":%d,"embedding":%b}' % (index, written)
        begin = b","
    yield end
