"""Pages: templates with what all of them show."""

import hashlib
import json
from collections.abc import Mapping
from datetime import tzinfo
from functools import partial
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse

from app.admin import filters, navigation
from app.admin.access import Viewer
from app.admin.notes import NOTE_COOKIE, read_note, seal_note
from app.core.clock import now

ROOT: Final = "/admin"
# The script of the pages sets it, so that the server writes times in the reader's zone.
_ZONE_COOKIE: Final = "junis_zone"
_NOTE_SECONDS: Final = 60
# Loaded in this order, by every page.
STYLES: Final = ("tokens", "base", "shell", "controls", "tables", "media", "drawings", "pages", "narrow")


def render(
    request: Request,
    template: str,
    viewer: Viewer | None,
    *,
    title: str,
    here: str = "",
    status: int = 200,
    **context: Any,
) -> HTMLResponse:
    """A page.

    Args:
        request: the request, for its zone, its note and its address.
        template: the file below `templates`.
        viewer: who looks; None on pages for those who have not signed in.
        title: the page's title, without the product's name.
        here: which entry of the navigation it belongs to.
        status: the HTTP status.
        context: what else the template shows.
    """
    at = now()
    zone = reader_zone(request)
    note = read_note(request)
    response = HTMLResponse(
        _ENVIRONMENT.get_template(template).render(
            {
                "viewer": viewer,
                "title": title,
                "here": here,
                "note": note,
                "now": at,
                "zone": zone,
                "moment": partial(filters.moment, zone=zone, now=at),
                "ago_text": partial(filters.ago, zone=zone, now=at),
                "host": request.url.netloc,
                **context,
            }
        ),
        status_code=status,
    )
    if note:
        response.delete_cookie(NOTE_COOKIE, path=ROOT)
    return response


def reader_zone(request: Request) -> tzinfo:
    """The reader's time zone; UTC until the pages' script has told it."""
    return filters.zone_of(request.cookies.get(_ZONE_COOKIE))


def see_other(request: Request, path: str, *, note: str | None = None) -> RedirectResponse:
    """Lead on to another page of the console after a form was taken, which may show a sentence once.

    Args:
        request: the request that sent the form.
        path: the page's address below the console's, such as `/keys`.
        note: what the page says once.
    """
    response = RedirectResponse(url(path), status_code=303)
    if note:
        response.set_cookie(
            NOTE_COOKIE, seal_note(request, note), max_age=_NOTE_SECONDS, path=ROOT, httponly=True, samesite="lax"
        )
    return response


def url(path: str = "", **query: Any) -> str:
    """The address of a page below the console's, with a query of what is not None and not empty."""
    pairs = [(name, value) for name, value in query.items() if value not in {None, ""}]
    joined = "&".join(f"{quote(name)}={quote(str(value), safe='')}" for name, value in pairs)
    return f"{ROOT}/{path.removeprefix('/')}" + (f"?{joined}" if joined else "")


def segment(text: object) -> str:
    """Text as one segment of a path."""
    return quote(str(text), safe="")


def _version() -> str:
    """What changes if any static file does."""
    digest = hashlib.sha256()
    for folder in (_STATIC, _STATIC.joinpath("vendor")):
        for file in sorted(folder.iterdir(), key=lambda file: file.name) if folder.is_dir() else ():
            if file.is_file():
                digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:10]


def _static(name: str) -> str:
    return f"{ROOT}/static/{name}?v={_VERSION}"


def has_static(name: str) -> bool:
    """Whether there is a static file of that name; the viewer of 3D models may be absent."""
    return _STATIC.joinpath(name).is_file()


def read_static(name: str) -> str:
    """The text of a static file."""
    return _STATIC.joinpath(name).read_text()


def _json_of(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


_STATIC: Final = files("app.admin").joinpath("static")
_VERSION: Final = _version()
_GLOBALS: Final[Mapping[str, Any]] = {
    "url": url,
    "segment": segment,
    "static": _static,
    "has_static": has_static,
    "styles": STYLES,
    "navigation": navigation,
    "quantity": filters.quantity,
}
_FILTERS: Final[Mapping[str, Any]] = {
    "money": filters.money,
    "plain_money": filters.plain_money,
    "short_money": filters.short_money,
    "size": filters.size,
    "duration": filters.duration,
    "count": filters.count,
    "utc": filters.utc,
    "lines": filters.join_lines,
    "as_json": _json_of,
}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("app.admin"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.globals.update(_GLOBALS)
    environment.filters.update(_FILTERS)
    return environment


_ENVIRONMENT: Final = _environment()
