"""Below the API's base nothing is answered without a key, not even that there is nothing."""

from fastapi import FastAPI, Request, Response

from app.core.error_handlers import on_http_exception, render
from app.core.errors import AppError
from app.rate_limits.dependencies import Guard

_BASE = "/api/external/"


def guard_unrouted(app: FastAPI) -> None:
    """Check and count a request for a path that no route has, or with a method that its route has not."""
    for status in (404, 405):
        app.add_exception_handler(status, _on_unrouted)


async def _on_unrouted(request: Request, error: Exception) -> Response:
    if request.url.path.startswith(_BASE):
        try:
            await Guard().admit(request)
        except AppError as refusal:
            return render(refusal)
    return await on_http_exception(request, error)
