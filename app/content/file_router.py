from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from app.content import service
from app.content.byte_ranges import RangeNotSatisfiableError, parse_range
from app.content.repository import File
from app.core.documentation import may_raise
from app.core.errors import NotFoundError, ServiceUnavailableError
from app.core.request_targets import is_head
from app.dependencies import DatabaseDep, StoreDep
from app.storage.protocol import ByteRange, ObjectStore

router = APIRouter(tags=["Files"])

# What a browser may show inline. Anything else is sent as a download, because it could run as a page of this host.
_SHOWN_IN_PLACE = ("image/png", "image/jpeg", "image/webp", "image/gif", "video/", "audio/", "model/gltf-binary")

_BYTES = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file", **_BYTES},
    206: {"description": "The one range that was asked for", **_BYTES},
    304: {"description": "The client has the file already, by its ETag"},
    307: {"description": "The file is at a URL of the object store that is valid for some minutes"},
}


@router.get("/files/{token}/{name}", response_class=StreamingResponse, responses=_RESPONSES)
@may_raise(NotFoundError, RangeNotSatisfiableError, ServiceUnavailableError)
async def get_file(token: str, name: str, request: Request, database: DatabaseDep, store: StoreDep) -> Response:
    """A stored file, whole or the one range that was requested. The token in the URL is the permission."""
    async with database.transaction() as tx:
        file = await service.get_file(tx, token, name)
    # A presigned URL is valid for one method, and all that HEAD asks for can be found out here.
    if not is_head(request) and (redirect := await store.presigned_url(file.storage_path, filename=name)):
        return RedirectResponse(redirect, status_code=307, headers={"Cache-Control": "no-store"})
    headers = _headers(name, file)
    if _is_known(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return await _respond(request, store, file, headers)


def _is_known(if_none_match: str, etag: str) -> bool:
    """Whether the client has the file already, by the weak comparison that RFC 9110 asks for: caches weaken tags."""
    known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in known or known == {"*"}


async def _respond(request: Request, store: ObjectStore, file: File, headers: dict[str, str]) -> Response:
    size = file.size_bytes
    wants_part = request.headers.get("if-range", headers["ETag"]) == headers["ETag"]
    part = parse_range(request.headers.get("range"), size) if wants_part else None
    headers["Content-Length"] = str(part.last - part.first + 1 if part else size)
    if part:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{size}"
    status = 206 if part else 200
    if is_head(request):
        await _look_at(store, file)
        return Response(status_code=status, headers=headers)
    return StreamingResponse(await _begun(store.read(file.storage_path, part)), status_code=status, headers=headers)


async def _look_at(store: ObjectStore, file: File) -> None:
    """Read the first byte, so that HEAD says of a file that cannot be read what GET says."""
    async for _ in store.read(file.storage_path, ByteRange(0, 0) if file.size_bytes else None):
        pass


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, once the first has arrived: if the store is unavailable, the status can still say so."""
    first = await anext(chunks, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_of_them()


def _headers(name: str, file: File) -> dict[str, str]:
    is_shown = file.media_type.startswith(_SHOWN_IN_PLACE)
    return {
        "Content-Type": file.media_type,
        "Content-Disposition": f'{"inline" if is_shown else "attachment"}; filename="{name}"',
        "ETag": f'"{file.sha256}"',
        "Accept-Ranges": "bytes",
        # Once a content is completed, the bytes at its paths never change.
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
