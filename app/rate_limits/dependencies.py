from collections.abc import Callable, Coroutine
from typing import Annotated, Any, NoReturn

from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.api_keys.cache import CallerCache
from app.api_keys.caller import Caller
from app.api_keys.errors import InvalidApiKeyError, MissingApiKeyError, ScopeNotAllowedError
from app.core.errors import AppError
from app.core.middleware import response_hooks
from app.dependencies import get_resources
from app.organizations.errors import SubscriptionRequiredError
from app.rate_limits.address import client_address
from app.rate_limits.errors import ConcurrencyLimitExceededError, RateLimitExceededError
from app.rate_limits.limiter import RateLimiter
from app.rate_limits.policy import Decision, Limits, Refusal

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Guard:
    """Lets a caller through to a route: key (401), subscription (403), scopes (403), limits (429), in this order.

    Used as a dependency, it hands the route the `Caller` that `GuardedRoute` has admitted.
    """

    def __init__(self, *scopes: str) -> None:
        self.scopes = scopes

    def __call__(self, request: Request) -> Caller:
        caller: Caller = request.state.caller
        return caller

    async def admit(self, request: Request) -> Caller:
        """Check the request, and count it where it passes.

        Raises:
            MissingApiKeyError, InvalidApiKeyError, SubscriptionRequiredError, ScopeNotAllowedError,
            RateLimitExceededError, ConcurrencyLimitExceededError: in this order.
        """
        caller = await _authenticate(request)
        if not caller.is_subscribed:
            await _show_limits(request, caller)
            raise SubscriptionRequiredError
        if not caller.scopes.issuperset(self.scopes):
            await _show_limits(request, caller)
            self.refuse_scopes(caller)
        await _take_slot(request, caller)
        return caller

    def refuse_scopes(self, caller: Caller) -> NoReturn:
        """Say which scope is missing; a feature with a form of its own overrides it."""
        missing = ", ".join(scope for scope in self.scopes if scope not in caller.scopes)
        raise ScopeNotAllowedError(f"API key lacks required scope: {missing}")


AnyCaller = Annotated[Caller, Depends(Guard())]


class GuardedRoute(APIRoute):
    """A route whose guard runs before anything of the body is read or any parameter is checked."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        guard = _guard_of(self.dependant)

        async def guarded(request: Request) -> Response:
            caller = request.state.caller = await guard.admit(request)
            try:
                return await handle(request)
            except ScopeNotAllowedError:
                # A scope that only the body asks for. It is refused like any other: nothing is used up.
                await _uncount(request, caller)
                raise

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


async def _authenticate(request: Request) -> Caller:
    callers: CallerCache = request.app.state.callers
    try:
        return await callers.get(shown_key(request))
    except (MissingApiKeyError, InvalidApiKeyError) as error:
        await _count_failure(request, error)
        raise


async def _count_failure(request: Request, error: AppError) -> None:
    """Count the attempt for its address, and refuse it as one too many where it is."""
    limiter: RateLimiter = request.app.state.limiter
    settings = get_resources(request).settings
    address = client_address(
        request.client.host if request.client else None,
        request.headers.getlist("x-forwarded-for"),
        settings.trusted_proxies,
    )
    is_within, window = await limiter.fail(address, settings.failed_attempts_per_minute)
    decision = Decision(None if is_within else Refusal.MINUTE, window.wait_seconds, window)
    response_hooks(request).headers |= decision.headers()
    if not is_within:
        raise RateLimitExceededError(window.wait_seconds) from error


async def _show_limits(request: Request, caller: Caller) -> None:
    """Put the caller's windows into the headers of a response that counts in none of them."""
    limiter: RateLimiter = request.app.state.limiter
    decision = await limiter.look(Limits.of(caller))
    response_hooks(request).headers |= decision.headers()


async def _take_slot(request: Request, caller: Caller) -> None:
    limiter: RateLimiter = request.app.state.limiter
    decision, slot = await limiter.admit(Limits.of(caller))
    hooks = response_hooks(request)
    hooks.headers |= decision.headers()
    if decision.refusal is Refusal.CONCURRENCY:
        raise ConcurrencyLimitExceededError(decision.wait_seconds)
    if decision.refusal is not None:
        raise RateLimitExceededError(decision.wait_seconds)
    if slot is not None:
        request.state.slot = slot
        hooks.before_end.append(lambda: limiter.release(slot))


async def _uncount(request: Request, caller: Caller) -> None:
    """Take the request back out of the caller's windows, and show them without it."""
    limiter: RateLimiter = request.app.state.limiter
    decision = await limiter.uncount(Limits.of(caller), request.state.slot)
    response_hooks(request).headers |= decision.headers()


def _guard_of(dependant: Dependant) -> Guard:
    guards = [found.call for found in dependant.dependencies if isinstance(found.call, Guard)]
    if len(guards) != 1:
        raise TypeError(f"{dependant.path}: a guarded route has exactly one guard in its signature")
    return guards[0]
