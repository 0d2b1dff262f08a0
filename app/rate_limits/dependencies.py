from functools import partial
from typing import Annotated, Any, ClassVar, NoReturn

from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant

from app.api_keys.caller import Caller
from app.api_keys.dependencies import authenticate
from app.api_keys.errors import InvalidApiKeyError, MissingApiKeyError, ScopeNotAllowedError
from app.api_keys.scopes import Scope
from app.core.documentation import may_raise
from app.core.errors import AppError, InvalidRequestError, OutdatedConnectionError, ServiceUnavailableError
from app.core.json_body import parse_body
from app.core.middleware import response_hooks
from app.core.read_body import hold_body
from app.core.request_bodies import as_json
from app.core.shares import organization_var
from app.core.thin_routes import NO_BODY, Handler, ThinHandler, ThinRoute
from app.organizations.errors import SubscriptionRequiredError
from app.rate_limits.decisions import Limits, Refusal
from app.rate_limits.errors import ConcurrencyLimitExceededError, RateLimitExceededError
from app.rate_limits.failed_attempts import FailedAttempts
from app.rate_limits.limiter import RateLimiter, Slot


def get_limiter(request: Request) -> RateLimiter:
    """The rate limiter of this process."""
    limiter: RateLimiter = request.app.state.limiter
    return limiter


class Guard:
    """Checks a request before its route runs: key (401), subscription (403), scopes (403), limits (429), in this order.

    As a dependency of a route, it provides the `Caller` that `GuardedRoute` has admitted.
    """

    scope_error: ClassVar[type[AppError]] = ScopeNotAllowedError

    def __init__(self, *scopes: Scope, per_run: int = 1) -> None:
        """Require these scopes.

        Args:
            scopes: what the key must have.
            per_run: so many requests may there be at once for each that the plan allows. More than one lets a client
                ask for what it has running, and end it, when its plan allows no more to run.
        """
        self.scopes: tuple[str, ...] = scopes
        self._per_run = per_run
        may_raise(
            MissingApiKeyError,
            InvalidApiKeyError,
            SubscriptionRequiredError,
            *((self.scope_error,) if scopes else ()),
            RateLimitExceededError,
            ConcurrencyLimitExceededError,
            ServiceUnavailableError,
        )(self)

    async def __call__(self, request: Request) -> Caller:
        caller: Caller = request.state.caller
        return caller

    async def admit(self, request: Request) -> Caller:
        """Check the request, and count it if it passes.

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
        await take_slot(request, Limits.of(caller).per_run(self._per_run))
        return caller

    def refuse_scopes(self, caller: Caller) -> NoReturn:
        """Raise the error for missing scopes. A feature whose errors have another form overrides it."""
        missing = ", ".join(scope for scope in self.scopes if scope not in caller.scopes)
        raise ScopeNotAllowedError(f"API key lacks required scope: {missing}")


# What a value of JSON takes in memory, about.
_BYTES_PER_VALUE = 130

AnyCaller = Annotated[Caller, Depends(Guard())]


class GuardedRoute(ThinRoute):
    """A route whose guard runs before the body is read and before any parameter is validated."""

    # The form in which the route refuses an invalid request.
    invalid_request: ClassVar[type[AppError]] = InvalidRequestError

    def get_route_handler(self) -> Handler:
        handle = self.thin_handler()
        guard = _guard_of(self.dependant)
        has_body = self.body_field is not None

        async def guarded(request: Request) -> Response:
            caller = request.state.caller = await guard.admit(request)
            organization_var.set(caller.organization_id)
            body = NO_BODY
            try:
                if has_body:
                    request, body = await self.read_body(request, caller.organization_id)
                return await _handle(handle, request, body)
            except ScopeNotAllowedError:
                # Only the body said that this scope is needed. As for any missing scope, the request is not counted.
                await _uncount(request, caller)
                raise

        return guarded

    async def read_body(self, request: Request, organization_id: str) -> tuple[Request, Any]:
        """The request, of which the body can be read again, and its parsed body. A route may read other types, too.

        Raises:
            InvalidRequestError, UnsupportedMediaTypeError: it is not JSON, or would take too long to read.
            ServerBusyError: there are too many large bodies at once.
        """
        request = as_json(request)
        return request, await _read_body(request, organization_id)


async def _read_body(request: Request, organization_id: str) -> Any:
    """The parsed body, read within limits; `NO_BODY` if it is empty.

    Raises:
        InvalidRequestError: it is not JSON, or would take too long to read.
        ServerBusyError: there are too many large bodies at once.
    """
    held = await hold_body(request, request.app.state.bodies, organization_id)
    body = await request.body()
    if not body:
        return NO_BODY
    parsed, values = await parse_body(body)
    await held.resize(max(len(body), values * _BYTES_PER_VALUE))
    return parsed


async def _handle(handle: ThinHandler, request: Request, body: Any) -> Response:
    """Handle a request, and once more if its connection to Postgres was outdated and nothing was done yet."""
    try:
        return await handle(request, body)
    except OutdatedConnectionError as error:
        if not error.retryable:
            raise
        # The transaction of the first try has ended with its handler.
        return await handle(request, body)


async def _authenticate(request: Request) -> Caller:
    try:
        return await authenticate(request)
    except (MissingApiKeyError, InvalidApiKeyError) as error:
        await _count_failure(request, error)
        raise


async def _count_failure(request: Request, error: AppError) -> None:
    """Count the failed attempt for its address, and refuse it with 429 if there were too many."""
    failures: FailedAttempts = request.app.state.failed_attempts
    peer = request.client.host if request.client else None
    decision = await failures.count(peer, request.headers.getlist("x-forwarded-for"))
    response_hooks(request).headers |= decision.headers()
    if decision.refusal is not None:
        raise RateLimitExceededError(decision.wait_seconds) from error


async def _show_limits(request: Request, caller: Caller) -> None:
    """Add the rate limit headers to a response that counts in none of the caller's windows."""
    limiter = get_limiter(request)
    decision = await limiter.look(Limits.of(caller))
    response_hooks(request).headers |= decision.headers()


async def take_slot(request: Request, limits: Limits) -> None:
    """Count the request in its windows, and give it a slot until its response ends.

    Raises:
        RateLimitExceededError, ConcurrencyLimitExceededError: it is over a limit.
    """
    limiter = get_limiter(request)
    decision, slot = await limiter.admit(limits)
    hooks = response_hooks(request)
    hooks.headers |= decision.headers()
    if decision.refusal is Refusal.CONCURRENCY:
        raise ConcurrencyLimitExceededError(decision.wait_seconds)
    if decision.refusal is not None:
        raise RateLimitExceededError(decision.wait_seconds)
    if slot is not None:
        request.state.slot = slot
        hooks.before_end.append(partial(_release, request))


def keep_slot(request: Request) -> Slot:
    """Take the request's slot for what goes on after its response. It must be passed to `RateLimiter.release`."""
    slot: Slot = request.state.slot
    request.state.slot = None
    return slot


async def _release(request: Request) -> None:
    slot: Slot | None = request.state.slot
    if slot is not None:
        await get_limiter(request).release(slot)


async def _uncount(request: Request, caller: Caller) -> None:
    """Remove the request from the caller's windows, and show the windows without it in the headers."""
    limiter = get_limiter(request)
    decision = await limiter.uncount(Limits.of(caller), request.state.slot)
    response_hooks(request).headers |= decision.headers()


def _guard_of(dependant: Dependant) -> Guard:
    guards = [found.call for found in dependant.dependencies if isinstance(found.call, Guard)]
    if len(guards) != 1:
        raise TypeError(f"{dependant.path}: a guarded route needs exactly one guard in its signature")
    return guards[0]
