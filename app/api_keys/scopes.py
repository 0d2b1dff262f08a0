from collections.abc import Iterable

from app.core.errors import InvalidRequestError

DEFAULT_SCOPES = ("orchestrator:invoke", "agents:list", "agents:invoke", "sessions:read")
# These must be asked for by name when a key is made.
EXTRA_SCOPES = ("content:read", "content:retry")
ALL_SCOPES = DEFAULT_SCOPES + EXTRA_SCOPES
# Narrower names that older clients of the API use, stored as the scope that they refine.
_REFINED = {"orchestrator:stream": "orchestrator:invoke", "sessions:messages": "sessions:read"}


def parse_scopes(names: Iterable[str]) -> list[str]:
    """The scopes of these names, each once, in the order of the documentation; the default ones for none.

    Raises:
        InvalidRequestError: a name is not a scope.
    """
    wanted = {_REFINED.get(name, name) for name in names} or set(DEFAULT_SCOPES)
    unknown = sorted(wanted - set(ALL_SCOPES))
    if unknown:
        raise InvalidRequestError(f"Unknown scope: {', '.join(unknown)}. Known: {', '.join(ALL_SCOPES)}")
    return [scope for scope in ALL_SCOPES if scope in wanted]
