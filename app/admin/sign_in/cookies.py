"""The cookies of the console, and the tokens that forms carry beside them."""

import base64
import hashlib
import re
import secrets
from typing import Final, Literal

from fastapi import Request
from starlette.responses import Response

from app.core.settings import Settings
from app.rate_limits.address import is_trusted

SESSION_COOKIE: Final = "junis_session"
# For the forms of those who are not signed in yet.
DOOR_COOKIE: Final = "junis_door"
# By it a browser is known that has signed in before.
DEVICE_COOKIE: Final = "junis_device"

_PATH: Final = "/admin"
_DEVICE_SECONDS: Final = 365 * 24 * 3600
# What we have given out; anything else is replaced.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_DOORS: Final = re.compile(r"/(sign-in|first-steps/[^/]+|invitations/[^/]+)/?")

Cookie = Literal["junis_session", "junis_door", "junis_device"]


def token_in(request: Request, cookie: Cookie) -> str | None:
    """The token that a cookie has; None if there is none, or it is not of the form of ours."""
    value = request.cookies.get(cookie, "")
    return value if _TOKEN.fullmatch(value) else None


def new_token() -> str:
    """A new token of 256 bits."""
    return secrets.token_urlsafe(32)


def csrf_of(token: str) -> str:
    """The token that forms carry beside a cookie's. Whoever knows it does not know the cookie."""
    return base64.urlsafe_b64encode(hashlib.sha256(f"csrf:{token}".encode()).digest()).decode().rstrip("=")


def expected_csrf(request: Request) -> str | None:
    """What a form that is sent to this address must carry; None if there is nothing that it could.

    Forms of those who are not signed in yet go with a cookie of their own: nobody can sign a reader in as
    somebody else.
    """
    cookie: Cookie = "junis_door" if is_door(request) else "junis_session"
    token = token_in(request, cookie)
    return csrf_of(token) if token else None


def is_door(request: Request) -> bool:
    """Whether the request is for a page of those who are not signed in yet."""
    return _DOORS.fullmatch(request.scope["path"].removeprefix(_PATH)) is not None


def door_csrf(request: Request) -> tuple[str, str]:
    """What the form of a door carries, and the cookie's token that goes with it: the one there is, or a new one."""
    token = token_in(request, "junis_door") or new_token()
    return csrf_of(token), token


def set_cookie(response: Response, request: Request, settings: Settings, cookie: Cookie, token: str) -> None:
    """Give the browser a cookie that scripts cannot read and other sites' forms do not send."""
    response.set_cookie(
        cookie,
        token,
        max_age=_DEVICE_SECONDS if cookie == "junis_device" else None,
        path=_PATH,
        httponly=True,
        samesite="lax",
        secure=is_encrypted(request, settings),
    )


def delete_cookie(response: Response, cookie: Cookie) -> None:
    """Take a cookie from the browser."""
    response.delete_cookie(cookie, path=_PATH, httponly=True, samesite="lax")


def is_encrypted(request: Request, settings: Settings) -> bool:
    """Whether the browser has come by HTTPS: our public address says so, or a trusted proxy does."""
    if settings.public_url.startswith("https:") or request.url.scheme == "https":
        return True
    peer = request.client.host if request.client else None
    shown = request.headers.get("x-forwarded-proto", "").split(",")[-1].strip().lower()
    return shown == "https" and is_trusted(peer, settings.trusted_proxies)
