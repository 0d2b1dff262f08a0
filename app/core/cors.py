"""What pages of other sites may do in a browser: read every file whose URL they have, and call the API if allowed.

Without this a browser sends the request and keeps the response from the page. The API knows no cookies, so an origin
that is allowed gains nothing but what its own key may do.
"""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.middleware import response_hooks
from app.core.request_targets import without_doubled_slashes

_FILES = "/files/"
# The second is where clients with a wrong base URL are told the right one.
_API = ("/api/", "/v1/")
_SHOWN_OF_FILES = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Retry-After, X-Request-ID"
_SHOWN_OF_API = ", ".join(
    [
        "Idempotent-Replayed",
        "Retry-After",
        *(f"X-RateLimit-{name}{of}" for of in ("", "-Minute", "-Hour") for name in ("Limit", "Remaining", "Reset")),
        "WWW-Authenticate",
        "X-Request-ID",
        "X-Session-ID",
        "x-should-retry",
    ]
)
_FILE_METHODS = "GET, HEAD, OPTIONS"
_API_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
# So that a changed setting is soon what browsers know.
_REMEMBERED_SECONDS = "600"


class CorsMiddleware:
    """Adds the headers of CORS to every response, errors included, and answers preflights before any key is asked for.

    `allowed_origins` may call the API; `*` stands for all. Files may be read by any origin: their URLs are secrets.
    """

    def __init__(self, app: ASGIApp, allowed_origins: frozenset[str]) -> None:
        self.app = app
        self.allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, asked = without_doubled_slashes(scope["path"]), Headers(scope=scope)
        is_file = path.startswith(_FILES)
        headers = _of_files() if is_file else self._of_api(path, asked.get("origin"))
        if headers:
            response_hooks(HTTPConnection(scope)).headers |= headers
        is_options = scope["method"] == "OPTIONS"
        is_preflight = is_options and "origin" in asked and "access-control-request-method" in asked
        if is_options and (is_file or (is_preflight and "Access-Control-Allow-Origin" in headers)):
            methods = _FILE_METHODS if is_file else _API_METHODS
            await Response(status_code=204, headers=_allowed(methods, asked))(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _of_api(self, path: str, origin: str | None) -> dict[str, str]:
        if not self.allowed_origins or not path.startswith(_API):
            return {}
        if "*" in self.allowed_origins:
            return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _SHOWN_OF_API}
        # Caches must not show the response of one origin to another, whether it was allowed or not.
        headers = {"Vary": "Origin"}
        if origin in self.allowed_origins:
            headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _SHOWN_OF_API}
        return headers


def _of_files() -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": _SHOWN_OF_FILES,
        # For pages that isolate themselves, and embed only what agrees to it.
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


def _allowed(methods: str, asked: Headers) -> Mapping[str, str]:
    """What a preflight is told. SDKs send headers of their own, so whatever they ask for may be sent."""
    headers = {"Allow": methods}
    if "access-control-request-method" in asked:
        headers |= {"Access-Control-Allow-Methods": methods, "Access-Control-Max-Age": _REMEMBERED_SECONDS}
    if wanted := asked.get("access-control-request-headers"):
        headers["Access-Control-Allow-Headers"] = wanted
    if asked.get("access-control-request-private-network") == "true":
        headers["Access-Control-Allow-Private-Network"] = "true"
    return headers
