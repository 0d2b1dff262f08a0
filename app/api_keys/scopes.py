from collections.abc import Iterable
from enum import StrEnum

from app.core.errors import InvalidRequestError


class Scope(StrEnum):
    """What an API key may do, in the order of the documentation."""

    ORCHESTRATOR_INVOKE = "orchestrator:invoke"
    AGENTS_LIST = "agents:list"
    AGENTS_INVOKE = "agents:invoke"
    SESSIONS_READ = "sessions:read"
    CONTENT_READ = "content:read"
    CONTENT_RETRY = "content:retry"
    CONTENT_GENERATE = "content:generate"
    USAGE_READ = "usage:read"
    WEBHOOKS_MANAGE = "webhooks:manage"


ALL_SCOPES = tuple(Scope)
# A key has the others only if they are asked for by name when it is created.
DEFAULT_SCOPES = (Scope.ORCHESTRATOR_INVOKE, Scope.AGENTS_LIST, Scope.AGENTS_INVOKE, Scope.SESSIONS_READ)
# What is left of the key of a member who has become a viewer.
VIEWING_SCOPES = (Scope.AGENTS_LIST, Scope.SESSIONS_READ, Scope.CONTENT_READ, Scope.USAGE_READ)
# Works only as long as the one who made the key is an owner or admin: it has lasting effects on the organization.
MANAGING_SCOPES = (Scope.WEBHOOKS_MANAGE,)
# Narrower names that older clients of the API use. The wider scope is stored instead.
_OLDER_NAMES = {"orchestrator:stream": Scope.ORCHESTRATOR_INVOKE, "sessions:messages": Scope.SESSIONS_READ}


def parse_scopes(names: Iterable[str]) -> list[Scope]:
    """The scopes with these names, each once and in the order of the documentation; the default ones if none is named.

    Raises:
        InvalidRequestError: a name is not the name of a scope.
    """
    wanted = {_OLDER_NAMES.get(name, name) for name in names} or set(DEFAULT_SCOPES)
    unknown = sorted(wanted - set(ALL_SCOPES))
    if unknown:
        raise InvalidRequestError(f"Unknown scope: {', '.join(unknown)}. Known: {', '.join(ALL_SCOPES)}")
    return [scope for scope in ALL_SCOPES if scope in wanted]
