import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.core.errors import (
    AppError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    ServiceUnavailableError,
)
from app.core.request_bodies import RefusedBodyError

logger = logging.getLogger(__name__)

_ABSENT: Final = object()
_BY_STATUS: dict[int, type[AppError]] = {
    error.status: error
    for error in (
        InvalidRequestError,
        NotFoundError,
        MethodNotAllowedError,
        PayloadTooLargeError,
        ServiceUnavailableError,
    )
}


def add_error_handlers(app: FastAPI) -> None:
    """Render every refusal, including those of the framework, in the form of the API."""
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)


def render(error: AppError) -> JSONResponse:
    """The response for a refusal."""
    return JSONResponse(error.body(), status_code=error.status, headers=dict(error.headers()))


async def _on_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)  # noqa: S101 - what the handler is registered for
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("request_failed", extra={"code": error.code, "reason": repr(error.__cause__ or error)})
    return render(error)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what the handler is registered for
    first = error.errors()[0]
    location = ".".join(map(str, _place(first, error.body)))
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return render(InvalidRequestError("The request body is not valid JSON"))
    return render(InvalidRequestError(f"{location}: {message}" if location else message, param=location or None))


def _place(refused: Mapping[str, Any], body: Any) -> list[str | int]:
    """Where in the request something was refused.

    If several forms are allowed, the validator names the form that it has tried as well, such as `stop.str`. A client
    knows only what it has sent.
    """
    location: Sequence[str | int] = refused["loc"]
    whole, *place = location
    if whole != "body":
        return place
    shown, at = place[:1], _part(body, place[0]) if place else None
    for part in place[1:]:
        # What an object lacks is named, too. That it is an object at all is wrong in a form that takes none.
        is_lacking = isinstance(at, Mapping) and part == place[-1] and not refused["type"].endswith("_type")
        if is_lacking or _part(at, part) is not _ABSENT:
            shown.append(part)
            at = _part(at, part)
    return shown


def _part(value: Any, name: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(name, _ABSENT)
    is_there = isinstance(value, list) and isinstance(name, int) and 0 <= name < len(value)
    return value[name] if is_there else _ABSENT


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Render a refusal of the framework in the form of the API."""
    if isinstance(error, RefusedBodyError):
        return render(error.refusal)
    assert isinstance(error, HTTPException)  # noqa: S101 - what the handler is registered for
    response = render(_BY_STATUS.get(error.status_code, AppError)())
    response.headers.update(error.headers or {})
    if "GET" in (allowed := response.headers.get("allow", "").split(", ")):
        response.headers["allow"] = ", ".join(sorted({*allowed, "HEAD"}))
    return response
