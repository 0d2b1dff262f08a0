"""Pages of those who are not signed in yet, and what happens when they are."""

import re
from typing import Any, Final

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from app.accounts.passwords import check_new_password
from app.accounts.signed_in import Browser, NewSession
from app.admin.access import address_of
from app.admin.forms import Form
from app.admin.rendering import render, see_other
from app.admin.sign_in.cookies import delete_cookie, door_csrf, new_token, set_cookie, token_in
from app.core.settings import Settings

# No scheme, no host, no backslash, which browsers read as a slash, and no control characters.
_LOCAL: Final = re.compile(r"/admin(/(?!/)[^\\\x00-\x20\x7f]*)?(\?[^\\\x00-\x20\x7f]*)?")
_MOST: Final = 2000


def browser_of(request: Request, settings: Settings) -> Browser:
    """Where a request comes from. A browser that is not known yet gets a token when it has signed in."""
    return Browser(
        address=address_of(request, settings),
        user_agent=request.headers.get("user-agent", ""),
        device=token_in(request, "junis_device") or new_token(),
    )


def local_path(given: str) -> str:
    """The path below the console's that was asked for before signing in; its first page, if it is none of ours."""
    if len(given) > _MOST or not _LOCAL.fullmatch(given):
        return "/"
    return given.removeprefix("/admin") or "/"


def render_door(
    request: Request, settings: Settings, template: str, *, title: str, status: int = 200, **context: Any
) -> HTMLResponse:
    """A page with a form for somebody who is not signed in."""
    csrf, token = door_csrf(request)
    response = render(request, template, None, title=title, status=status, csrf=csrf, **context)
    set_cookie(response, request, settings, "junis_door", token)
    response.headers["Cache-Control"] = "no-store"
    return response


def render_unusable(request: Request, settings: Settings, *, is_invitation: bool) -> HTMLResponse:
    """The page of a link that does not work, or not any more."""
    return render_door(
        request,
        settings,
        "sign_in/unusable.html",
        title="This link does not work any more",
        status=404,
        is_invitation=is_invitation,
    )


def new_password_in(form: Form) -> str:
    """The new password in a form, typed twice. What is wrong with it is noted there."""
    password = form.value("password")
    with form.refusing("password"):
        check_new_password(password)
    if "password" not in form.errors and form.value("again") != password:
        form.error("again", "This is not the same. Type the password again.")
    return password


def enter(
    request: Request, settings: Settings, session: NewSession, browser: Browser, path: str, *, note: str | None = None
) -> Response:
    """Lead somebody who has just signed in to a page."""
    response = see_other(request, path, note=note)
    set_cookie(response, request, settings, "junis_session", session.token)
    set_cookie(response, request, settings, "junis_device", browser.device)
    delete_cookie(response, "junis_door")
    return response
