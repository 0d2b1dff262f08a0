"""From the headers of a request to its `Caller`."""

from collections.abc import Iterator

from fastapi import Request

from app.api_keys.cache import CallerCache
from app.api_keys.caller import Caller
from app.api_keys.errors import MissingApiKeyError, SeveralApiKeysError
from app.api_keys.key_format import is_of_ours


def shown_key(request: Request) -> str:
    """The key in `X-API-Key` or `Authorization: Bearer`.

    Clients of OpenAI's API cannot leave the Bearer out. Beside a key, one that is no key of ours is passed over.

    Raises:
        MissingApiKeyError: there is none.
        SeveralApiKeysError: there are several, and they differ.
    """
    shown = {key.strip() for key in request.headers.getlist("x-api-key")} - {""}
    bearers = set(_bearers(request)) - {""}
    shown |= {key for key in bearers if is_of_ours(key)} if shown else bearers
    if not shown:
        raise MissingApiKeyError
    if len(shown) > 1:
        raise SeveralApiKeysError
    return shown.pop()


def _bearers(request: Request) -> Iterator[str]:
    for value in request.headers.getlist("authorization"):
        scheme, _, key = value.partition(" ")
        if scheme.lower() == "bearer":
            yield key.strip()


async def authenticate(request: Request) -> Caller:
    """The caller that the request's key belongs to.

    Raises:
        MissingApiKeyError: the request shows no key.
        InvalidApiKeyError: the key is malformed, unknown, revoked or expired, or there are several that differ.
        ServiceUnavailableError: the key is not cached here, and Postgres cannot be reached.
    """
    callers: CallerCache = request.app.state.callers
    return await callers.get(shown_key(request))
