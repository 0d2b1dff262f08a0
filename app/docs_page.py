"""`/docs`: the API's reference, made by Swagger UI from `/openapi.json`. Nothing of it comes from another host."""

from importlib.resources import files
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import HTMLResponse

from app.core.errors import NotFoundError
from app.dependencies import SettingsDep

router = APIRouter(tags=["Operations"], include_in_schema=False)

# The package has the files of Swagger UI, and an application class that is not used.
_FILES: Final = files("fastapi_offline").joinpath("static")
_MEDIA_TYPES: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "start.js": "text/javascript",
}
# The symbols in the style sheet are data URLs.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Junis External API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{prefix}/docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="{prefix}/docs/swagger-ui-bundle.js"></script>
<script src="{prefix}/docs/start.js"></script>
</body>
</html>
"""
# Without `validatorUrl` the page would have the document checked by a public service.
_START: Final = """SwaggerUIBundle({{
  url: "{prefix}/openapi.json", dom_id: "#page", deepLinking: true, displayRequestDuration: true, validatorUrl: null
}});
"""


async def get_prefix(settings: SettingsDep) -> str:
    """The path that clients put before every path of the server; empty unless a proxy takes one away."""
    return urlsplit(settings.public_url).path


PrefixDep = Annotated[str, Depends(get_prefix)]


@router.get("/docs")
async def show_docs(prefix: PrefixDep) -> Response:
    """The page."""
    return HTMLResponse(_PAGE.format(prefix=prefix), headers=_HEADERS)


@router.get("/docs/{name}")
async def get_docs_file(name: Annotated[str, Path()], prefix: PrefixDep) -> Response:
    """A script or the style sheet of the page."""
    if name not in _MEDIA_TYPES:
        raise NotFoundError
    content = _START.format(prefix=prefix).encode() if name == "start.js" else _FILES.joinpath(name).read_bytes()
    return Response(content, media_type=_MEDIA_TYPES[name], headers=_HEADERS | {"Cache-Control": "max-age=3600"})
