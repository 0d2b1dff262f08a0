"""The page that shows a new secret once: a cookie that only the browser of its maker has opens it, for a minute."""

from typing import Final

from fastapi import Request
from starlette.responses import Response

from app.admin.access import Viewer
from app.admin.sign_in.cookies import is_encrypted
from app.core import clock
from app.core.crypto import sha256
from app.core.secret_keys import SecretKeys
from app.core.settings import Settings
from app.webhook_endpoints.endpoint_secrets import SECRET

_PATH: Final = "/admin/webhooks/secret"
_SECONDS: Final = 60
_PURPOSE: Final = "junis-webhook-secret"


def keep_cookie(
    response: Response, request: Request, settings: Settings, viewer: Viewer, endpoint_id: str, sealed: bytes
) -> None:
    """Give the browser what shows this secret, and no later one."""
    until = int(clock.now().timestamp()) + _SECONDS
    signature = SecretKeys.of(settings).sign(_PURPOSE, _message(viewer, endpoint_id, sealed, until))
    response.set_cookie(
        _cookie(endpoint_id),
        f"{until}.{signature}",
        max_age=_SECONDS,
        path=_PATH,
        httponly=True,
        samesite="strict",
        secure=is_encrypted(request, settings),
    )


def read_secret(request: Request, settings: Settings, viewer: Viewer, endpoint_id: str, sealed: bytes) -> str | None:
    """The secret, if this browser may be shown it now."""
    until, _, signature = request.cookies.get(_cookie(endpoint_id), "").partition(".")
    if not (until.isascii() and until.isdigit() and len(until) < 12) or int(until) < clock.now().timestamp():
        return None
    keys = SecretKeys.of(settings)
    is_ours = keys.is_signed(_PURPOSE, _message(viewer, endpoint_id, sealed, int(until)), signature)
    return SECRET.unseal(keys, endpoint_id, sealed) if is_ours else None


def forget_cookie(response: Response, endpoint_id: str) -> None:
    """Take from the browser what has shown the secret."""
    response.delete_cookie(_cookie(endpoint_id), path=_PATH, httponly=True, samesite="strict")


def _cookie(endpoint_id: str) -> str:
    return f"junis_{endpoint_id}"


def _message(viewer: Viewer, endpoint_id: str, sealed: bytes, until: int) -> str:
    return f"{viewer.user_id} {endpoint_id} {sha256(sealed.hex()).hex()} {until}"
