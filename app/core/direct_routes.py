"""Leads requests to their routes by one look-up.

The framework asks every router and every route in turn, twice for each level of routers that include others. All of
its answers but one are known as soon as all routes are.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.convertors import Convertor
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.thin_routes import ThinRoute


def lead_directly(app: FastAPI) -> None:
    """Lead requests to the routes that the application has now. What none of them takes goes on as before."""
    routes = [
        _Route.of(context)
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
    ]
    app.router.middleware_stack = _DirectRoutes(app.router.middleware_stack, routes)


@dataclass(frozen=True)
class _Route:
    """What a route takes, what responds, and what it is for those who read the scope."""

    methods: Collection[str]
    path: str
    pattern: re.Pattern[str]
    convertors: Mapping[str, Convertor[Any]]
    app: ASGIApp
    scope: Scope

    @classmethod
    def of(cls, context: RouteContext) -> Self:
        route = context.original_route
        return cls(
            methods=frozenset(context.methods or ()),
            path=context.path or "",
            pattern=context.path_regex,
            convertors=context.param_convertors,
            app=route.respond if isinstance(route, ThinRoute) else context.app,
            scope={"route": route, "endpoint": context.endpoint},
        )

    def parameters(self, method: str, path: str) -> dict[str, Any] | None:
        """The values of its parameters; None if it does not take the request."""
        if method not in self.methods or not (match := self.pattern.match(path)):
            return None
        return {name: self.convertors[name].convert(text) for name, text in match.groupdict().items()}


class _DirectRoutes:
    """Finds the first route that takes a request, as the framework would.

    What is different: if no route takes the method, the refusal names the methods of all routes of the path. The
    framework names those of the first one.
    """

    def __init__(self, otherwise: ASGIApp, routes: Sequence[_Route]) -> None:
        self._otherwise = otherwise
        self._routes = routes
        self._with_parameters = [route for route in routes if route.convertors]
        self._known = {
            (method, route.path): found
            for route in routes
            if not route.convertors
            for method in route.methods
            if (found := _first(routes, method, route.path))
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._found(scope)
        if found is None:
            await self._refuse(scope, receive, send)
            return
        route, parameters = found
        scope.update(route.scope, path_params={**parameters})
        await route.app(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._otherwise(scope, receive, send)
        except HTTPException as refusal:
            path = scope.get("path", "")
            methods = {method for route in self._routes if route.pattern.match(path) for method in route.methods}
            if refusal.status_code == HTTPStatus.METHOD_NOT_ALLOWED and methods:
                refusal.headers = {**(refusal.headers or {}), "Allow": ", ".join(sorted(methods))}
            raise

    def _found(self, scope: Scope) -> tuple[_Route, dict[str, Any]] | None:
        if scope["type"] != "http" or scope.get("root_path"):
            return None
        method, path = scope["method"], scope["path"]
        return self._known.get((method, path)) or _first(self._with_parameters, method, path)


def _first(routes: Sequence[_Route], method: str, path: str) -> tuple[_Route, dict[str, Any]] | None:
    for route in routes:
        if (parameters := route.parameters(method, path)) is not None:
            return route, parameters
    return None
