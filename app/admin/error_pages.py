"""Refusals and errors of the console as pages."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.admin.access import Viewer
from app.admin.errors import NotSignedInError, PageForbiddenError, PageNotFoundError, StaleFormError
from app.admin.forms import sentence_of
from app.admin.rendering import render, url
from app.core.errors import AppError
from app.core.request_context import request_id_var

logger = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 10
_WORDS: Final = {
    400: ("This address is not complete", "Something in it is not what the page expects. Go back and try again."),
    403: ("Your role cannot do this", "Whoever owns the organization can change what you may do."),
    404: (
        "There is nothing here",
        "It was removed, it belongs to another organization, or the address has a typing error.",
    ),
    405: ("This address takes no such request", "Go back to the page that led here, and use its buttons."),
    409: ("Something else has changed this", "Go back, look at what it is now, and try again."),
    413: ("That is too large", "A form may have 10 MB in all."),
    429: ("Too many at once", "Wait a moment, then try again."),
    500: (
        "Something went wrong here",
        "It is in the server's log under the request id below. Nothing was saved by halves.",
    ),
    503: (
        "The database does not answer",
        "The console reads and saves nothing until it does. What runs at the vendors goes on, and is fetched later.",
    ),
}


def add_error_pages(console: FastAPI) -> None:
    """Render every refusal as a page."""
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        NotSignedInError: _lead_to_sign_in,
        PageForbiddenError: _on_forbidden,
        PageNotFoundError: _on_not_found,
        StaleFormError: _on_stale_form,
        AppError: _on_app_error,
        RequestValidationError: _on_validation_error,
        HTTPException: _on_http_exception,
    }
    for kind, handler in handlers.items():
        console.add_exception_handler(kind, handler)
    console.add_middleware(UnexpectedErrors)


def error_page(
    request: Request,
    status: int,
    *,
    title: str | None = None,
    sentence: str | None = None,
    with_navigation: bool = True,
) -> Response:
    """The page of an error. Pages of 5xx need neither a session nor the database to be drawn."""
    words = _WORDS.get(status, _WORDS[500 if status >= 500 else 400])
    is_server = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    is_away = status == HTTPStatus.SERVICE_UNAVAILABLE
    viewer: Viewer | None = request.scope.get("junis.viewer") if with_navigation and not is_server else None
    response = render(
        request,
        "errors/page.html",
        viewer,
        title=title or words[0],
        status=status,
        number=status,
        sentence=sentence or words[1],
        path=request.url.path,
        request_id=request_id_var.get(),
        is_forbidden=status == HTTPStatus.FORBIDDEN,
        # A form that was sent is not sent again by looking again.
        refresh=_AGAIN_SECONDS if is_away and request.method == "GET" else None,
        retry=_address(request) if is_server and request.method == "GET" else None,
    )
    if is_away:
        response.headers["Retry-After"] = str(_AGAIN_SECONDS)
    return response


async def _lead_to_sign_in(request: Request, error: Exception) -> Response:
    # A form that was sent cannot be sent again after signing in; the page it was on can be opened.
    target = _address(request) if request.method == "GET" else url()
    return RedirectResponse(url("sign-in", next=target), status_code=303)


async def _on_forbidden(request: Request, error: Exception) -> Response:
    return error_page(request, 403, title="Your role cannot see this", sentence=str(error) or None)


async def _on_not_found(request: Request, error: Exception) -> Response:
    return error_page(request, 404, sentence=str(error) or None)


async def _on_stale_form(request: Request, error: Exception) -> Response:
    return error_page(
        request,
        403,
        title="This form is too old",
        sentence="It was made before you signed in, or by another site. Nothing was changed. Open its page again.",
    )


async def _on_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)  # noqa: S101 - what the handler is registered for
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("request_failed", extra={"code": error.code, "reason": repr(error.__cause__ or error)})
        return error_page(request, error.status)
    if error.status == HTTPStatus.NOT_FOUND:
        return error_page(request, 404)
    return error_page(request, error.status, sentence=sentence_of(error))


async def _on_validation_error(request: Request, error: Exception) -> Response:
    return error_page(request, 400)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what the handler is registered for
    response = error_page(request, error.status_code)
    response.headers.update(error.headers or {})
    return response


def _address(request: Request) -> str:
    query = request.url.query
    return quote(request.url.path, safe="/%") + (f"?{query}" if query else "")


class UnexpectedErrors:
    """Answers what nothing else has caught with a page, and writes it to the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_started = False

        async def watch(message: Message) -> None:
            nonlocal is_started
            is_started = is_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception:  # nothing after this could answer with a page
            if is_started or scope["type"] != "http":
                raise
            logger.exception("unhandled_error")
            await error_page(Request(scope, receive), 500)(scope, receive, send)
