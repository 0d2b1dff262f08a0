"""Requests that no route takes. Below the base of the API they need a key, too, before they get a 404 or 405."""

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from app.core.error_handlers import on_http_exception, render
from app.core.errors import AppError, NotFoundError
from app.core.openai_endpoints import what_instead
from app.rate_limits.dependencies import Guard

_BASE = "/api/external"


def guard_unrouted(app: FastAPI) -> None:
    """Check and count requests whose path has no route, or whose route does not allow their method."""
    for status in (404, 405):
        app.add_exception_handler(status, _on_unrouted)


async def _on_unrouted(request: Request, error: Exception) -> Response:
    if request.url.path == _BASE or request.url.path.startswith(f"{_BASE}/"):
        try:
            await Guard().admit(request)
        except AppError as refusal:
            return render(refusal)
    if isinstance(error, HTTPException) and error.status_code == NotFoundError.status:
        return render(NotFoundError(what_instead(request.url.path)))
    return await on_http_exception(request, error)
