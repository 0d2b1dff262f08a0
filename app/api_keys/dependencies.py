from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.api_keys import service
from app.api_keys.caller import Caller
from app.api_keys.errors import InvalidApiKeyError, MissingApiKeyError, ScopeNotAllowedError
from app.core.database import Database
from app.organizations.errors import SubscriptionRequiredError

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Guard:
    """Lets a caller through to a route: key (401), subscription (403), scopes (403), in this order.

    Used as a dependency, it hands the route the `Caller` that `GuardedRoute` has admitted.
    """

    def __init__(self, *scopes: str) -> None:
        self.scopes = scopes

    def __call__(self, request: Request) -> Caller:
        caller: Caller = request.state.caller
        return caller

    async def admit(self, database: Database, request: Request) -> Caller:
        """Check the request's key.

        Raises:
            MissingApiKeyError, InvalidApiKeyError, SubscriptionRequiredError, ScopeNotAllowedError: in this order.
        """
        caller = await service.authenticate(database, shown_key(request))
        if not caller.is_subscribed:
            raise SubscriptionRequiredError
        if not caller.scopes.issuperset(self.scopes):
            self.refuse_scopes(caller)
        return caller

    def refuse_scopes(self, caller: Caller) -> NoReturn:
        """Say which scope is missing; a feature with a form of its own overrides it."""
        missing = ", ".join(scope for scope in self.scopes if scope not in caller.scopes)
        raise ScopeNotAllowedError(f"API key lacks required scope: {missing}")


class GuardedRoute(APIRoute):
    """A route whose guard runs before anything of the body is read or any parameter is checked."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        guard = _guard_of(self.dependant)

        async def guarded(request: Request) -> Response:
            request.state.caller = await guard.admit(request.app.state.resources.database, request)
            return await handle(request)

        return guarded


def shown_key(request: Request) -> str:
    """The key in `X-API-Key` or `Authorization: Bearer`.

    Raises:
        MissingApiKeyError: there is none.
        InvalidApiKeyError: there are several that differ.
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


def _guard_of(dependant: Dependant) -> Guard:
    guards = [found.call for found in dependant.dependencies if isinstance(found.call, Guard)]
    if len(guards) != 1:
        raise TypeError(f"{dependant.path}: a guarded route has exactly one guard in its signature")
    return guards[0]
