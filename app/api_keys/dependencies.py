"""From the headers of a request to its `Caller`."""

from fastapi import Request

from app.api_keys.cache import CallerCache
from app.api_keys.caller import Caller
from app.api_keys.errors import InvalidApiKeyError, MissingApiKeyError


def shown_key(request: Request) -> str:
    """The key in `X-API-Key` or `Authorization: Bearer`.

    Raises:
        MissingApiKeyError: there is none.
        InvalidApiKeyError: there are several, and they differ.
    """
    shown = {key.strip() for key in request.headers.getlist("x-api-key")}
    for value in request.headers.getlist("authorization"):
        scheme, _, key = value.partition(" ")
        if scheme.lower() == "bearer":
            shown.add(key.strip())
    shown.discard("")
    if not shown:
        raise MissingApiKeyError
    if len(shown) > 1:
        raise InvalidApiKeyError
    return shown.pop()


async def authenticate(request: Request) -> Caller:
    """The caller that the request's key belongs to.

    Raises:
        MissingApiKeyError: the request shows no key.
        InvalidApiKeyError: the key is malformed, unknown, revoked or expired, or there are several that differ.
        ServiceUnavailableError: the key is not cached here, and Postgres cannot be reached.
    """
    callers: CallerCache = request.app.state.callers
    return await callers.get(shown_key(request))
