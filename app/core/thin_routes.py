"""Routes that do for a request what their signature asks for, and nothing else.

The framework still reads the signature, describes the route in `/openapi.json`, and checks parameters and results. Its
own handler resolves a route's dependencies for every request; here that is done once, when the route is made.
"""

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, serialize_response
from pydantic_core import PydanticUndefined
from starlette.types import Receive, Scope, Send

Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]
ThinHandler: TypeAlias = Callable[[Request, Any], Coroutine[Any, Any, Response]]
NO_BODY: Final[Any] = PydanticUndefined

_Values: TypeAlias = dict[str, Any]


@dataclass
class _Solved:
    """What is known of one request: the results of what the route depends on, and what is wrong with it."""

    request: Request
    stack: AsyncExitStack
    results: dict[Any, Any] = field(default_factory=dict)
    errors: list[Any] = field(default_factory=list)
    _response: Response | None = None

    @property
    def response(self) -> Response:
        """Where dependencies put headers for the response."""
        if self._response is None:
            self._response = Response()
            del self._response.headers["content-length"]
        return self._response

    @property
    def added_headers(self) -> Sequence[tuple[bytes, bytes]]:
        return [] if self._response is None else self._response.raw_headers


@dataclass(frozen=True)
class _Node:
    """One function of a signature: the route's own, or one that it depends on.

    Attributes:
        declared: what the framework has read in its signature.
        name: the parameter that gets its result; None if none does.
        below: what it depends on.
        open: opens what it provides until the route has returned; None if it returns a result.
    """

    declared: Dependant
    name: str | None
    below: Sequence["_Node"]
    open: Callable[..., AbstractAsyncContextManager[Any]] | None

    @classmethod
    def of(cls, declared: Dependant) -> Self:
        """The node of what the framework has read.

        Raises:
            TypeError: it asks for what is not provided here.
        """
        call: Any = declared.call
        called = call if inspect.isfunction(call) or inspect.ismethod(call) else type(call).__call__
        is_opened = inspect.isasyncgenfunction(called)
        is_known = is_opened or inspect.iscoroutinefunction(called)
        if not is_known or _asks_for_more(declared) or (is_opened and declared.scope != "function"):
            raise TypeError(f"{declared.path}: a thin route cannot provide {call}")
        below = [cls.of(dependency) for dependency in declared.dependencies]
        return cls(declared, declared.name, below, asynccontextmanager(call) if is_opened else None)

    async def values(self, solved: _Solved) -> _Values | None:
        """The arguments of the function; None if one of them is wrong, which is noted."""
        errors = len(solved.errors)
        values: _Values = {}
        for node in self.below:
            await node.solve(solved, values)
        declared = self.declared
        if declared.path_params:
            _take(solved, values, request_params_to_args(declared.path_params, solved.request.path_params))
        if declared.query_params:
            _take(solved, values, request_params_to_args(declared.query_params, solved.request.query_params))
        if declared.header_params:
            _take(solved, values, request_params_to_args(declared.header_params, solved.request.headers))
        if declared.request_param_name:
            values[declared.request_param_name] = solved.request
        if declared.response_param_name:
            values[declared.response_param_name] = solved.response
        return values if len(solved.errors) == errors else None

    async def solve(self, solved: _Solved, values: _Values) -> None:
        """Add the function's result to the arguments of the one that depends on it."""
        call: Any = self.declared.call
        if call not in solved.results:
            own = await self.values(solved)
            if own is None:
                return
            opened = self.open
            result = await (call(**own) if opened is None else solved.stack.enter_async_context(opened(**own)))
            solved.results[call] = result
        if self.name is not None:
            values[self.name] = solved.results[call]


class ThinRoute(APIRoute):
    """A route without forms, cookies and background tasks, and of asynchronous functions only.

    A subclass makes its handler from `thin_handler`.
    """

    _handler: Handler | None = None

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request that was led to this route. Errors are the application's to handle."""
        if self._handler is None:
            self._handler = self.get_route_handler()
        response = await self._handler(Request(scope, receive, send))
        await response(scope, receive, send)

    def thin_handler(self) -> ThinHandler:
        """What makes the response to a request from it and its parsed body, which is `NO_BODY` if there is none.

        Everything that was opened for the request is closed when it returns.

        Raises:
            RequestValidationError: the request is not what the signature asks for.
        """
        node = _Node.of(self.dependant)
        endpoint: Any = self.dependant.call

        async def handle(request: Request, body: Any) -> Response:
            async with AsyncExitStack() as stack:
                solved = _Solved(request, stack)
                values = await node.values(solved) or {}
                if self.dependant.body_params:
                    given = await request_body_to_args(self.dependant.body_params, body, self._embed_body_fields)
                    _take(solved, values, given)
                if solved.errors:
                    raise RequestValidationError(solved.errors, body=body)
                result = await endpoint(**values)
                return result if isinstance(result, Response) else await self._response_of(result, solved)

        return handle

    async def _response_of(self, result: Any, solved: _Solved) -> Response:
        content = await serialize_response(
            field=self.response_field,
            response_content=result,
            by_alias=self.response_model_by_alias,
            exclude_unset=self.response_model_exclude_unset,
            dump_json=True,
        )
        response = Response(content, status_code=self.status_code or 200, media_type="application/json")
        response.raw_headers.extend(solved.added_headers)
        return response


def _asks_for_more(declared: Dependant) -> bool:
    return bool(
        declared.cookie_params
        or declared.websocket_param_name
        or declared.http_connection_param_name
        or declared.background_tasks_param_name
        or declared.security_scopes_param_name
        or not declared.use_cache
        or declared.concurrency
    )


def _take(solved: _Solved, values: _Values, found: tuple[Mapping[str, Any], Sequence[Any]]) -> None:
    values.update(found[0])
    solved.errors.extend(found[1])
