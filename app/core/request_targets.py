"""How clients spell the method and the path of a request, and what the routes see of it.

A spelling that another server would redirect is accepted as it is: clients that follow a redirect of a POST ask again
by GET, or without the body.
"""

import re

from fastapi import FastAPI
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

_DOUBLED = re.compile("//+")


def as_routed(scope: Scope) -> Scope:
    """The scope that routes see: of HEAD that of a GET, and a path without a slash at its end."""
    path = _without_last_slash(scope)
    is_head = scope["method"] == "HEAD"
    return {**scope, "method": "GET" if is_head else scope["method"], "path": path, "junis.is_head": is_head}


def is_head(connection: HTTPConnection) -> bool:
    """Whether only the headers of a response are wanted. `request.method` is GET then."""
    return bool(connection.scope.get("junis.is_head"))


def without_doubled_slashes(path: str) -> str:
    """The path with one slash instead of several in a row."""
    return _DOUBLED.sub("/", path) if "//" in path else path


def accept_doubled_slashes(app: FastAPI) -> None:
    """Let a path that no route takes mean the same with each doubled slash as one.

    Not before, because two slashes may be in the name of a session.
    """
    otherwise = app.router.default

    async def again(scope: Scope, receive: Receive, send: Send) -> None:
        path = without_doubled_slashes(scope.get("path", ""))
        if path == scope.get("path"):
            await otherwise(scope, receive, send)
            return
        scope["path"] = path
        await app.router(scope, receive, send)

    app.router.default = again


def _without_last_slash(scope: Scope) -> str:
    path: str = scope["path"]
    # A slash that the client has encoded is part of a name.
    written = scope.get("raw_path") or path.encode()
    slashes = len(written) - len(written.rstrip(b"/"))
    return path[:-slashes] or "/" if slashes else path
