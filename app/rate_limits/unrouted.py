"""Requests that no route takes. Below the base of the API they need a key, too, before they get a 404 or 405."""

from fastapi import FastAPI, Request, Response

from app.core.error_handlers import on_http_exception, render
from app.core.errors import AppError
from app.rate_limits.dependencies import Guard

_BASE = "/api/external/"


def guard_unrouted(app: FastAPI) -> None:
    """Check and count requests whose path has no route, or whose route does not allow their method."""
    for status in (404, 405):
        app.add_exception_handler(status, _on_unrouted)


async def _on_unrouted(request: Request, error: Exception) -> Response:
    if request.url.path.startswith(_BASE):
        try:
            await Guard().admit(request)
        except AppError as refusal:
            return render(refusal)
    return await on_http_exception(request, error)
