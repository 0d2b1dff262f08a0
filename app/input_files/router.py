from typing import Any

from fastapi import APIRouter, Response

from app.core.documentation import may_raise
from app.core.errors import NotFoundError, ServiceUnavailableError
from app.dependencies import DatabaseDep
from app.input_files import service

router = APIRouter(tags=["Files"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/files/inputs/{file_id}/{name}", response_class=Response, responses=_RESPONSES)
@may_raise(NotFoundError, ServiceUnavailableError)
async def get_input_file(file_id: str, name: str, database: DatabaseDep) -> Response:
    """A file that a client has sent for its generations, for the vendor. The id in the URL is the permission."""
    async with database.transaction() as tx:
        file = await service.get_file(tx, file_id)
    headers = {
        "Content-Disposition": "inline",
        "ETag": f'"{file.sha256}"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
    return Response(file.data, media_type=file.media_type, headers=headers)
