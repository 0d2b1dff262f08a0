import inspect
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.applications import Starlette
from starlette.routing import Mount

from app.core.settings import Settings
from app.main import create_app


def test_no_request_waits_for_a_thread() -> None:
    applications = list(_applications(create_app(Settings.model_validate({}))))

    called = [call for application in applications for call in _calls(application)]

    # The API's and the console's. The framework calls in a thread what is not asynchronous.
    assert len(applications) > 1
    assert len(called) > 100
    assert [call for call in called if not _is_asynchronous(call)] == []


def _applications(application: Starlette) -> Iterator[Starlette]:
    """The application, and those that are mounted in it."""
    yield application
    for route in application.routes:
        if isinstance(route, Mount) and isinstance(route.app, Starlette):
            yield from _applications(route.app)


def _calls(application: Starlette) -> Iterator[Any]:
    """The routes of an application, all that they depend on, and what handles their errors."""
    assert isinstance(application, FastAPI)
    for context in iter_route_contexts(application.routes):
        if isinstance(context.original_route, APIRoute):
            yield from _of(context.original_route.dependant)
    yield from application.exception_handlers.values()


def _of(dependant: Dependant) -> Iterator[Any]:
    yield dependant.call
    for dependency in dependant.dependencies:
        yield from _of(dependency)


def _is_asynchronous(call: Any) -> bool:
    called = call if inspect.isfunction(call) or inspect.ismethod(call) else type(call).__call__
    return inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)
