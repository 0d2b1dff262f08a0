"""Which errors a route may respond with, said beside the code that raises them and read for `/openapi.json`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from app.core.errors import AppError

_Function = TypeVar("_Function", bound=Callable[..., Any])
_ERRORS = "documented_errors"


def may_raise(*errors: type[AppError]) -> Callable[[_Function], _Function]:
    """Note which errors a route or a dependency of routes may raise, besides those of its own dependencies."""

    def note(function: _Function) -> _Function:
        setattr(function, _ERRORS, errors)
        return function

    return note


def errors_of(function: object) -> tuple[type[AppError], ...]:
    """The errors that were noted for a route or a dependency."""
    found: tuple[type[AppError], ...] = getattr(function, _ERRORS, ())
    return found


def links(parameter: str, expression: str, *operations: str) -> dict[str, Any]:
    """The `links` of a response: a value in its body is this parameter of those operations."""
    value = f"$response.body#/{expression}"
    return {name: {"operationId": name, "parameters": {parameter: value}} for name in operations}


def response_of(errors: Iterable[type[AppError]], headers: Mapping[str, Any]) -> dict[str, Any]:
    """The OpenAPI response of errors that share a status, one schema for each code."""
    by_name = {error.schema_name(): error for error in errors}
    schemas = [{"$ref": f"#/components/schemas/{name}"} for name in sorted(by_name)]
    texts = sorted({f"`{error.code}`: {error.message}." for error in by_name.values()})
    return {
        "description": " ".join(texts).replace("..", "."),
        "headers": dict(headers),
        "content": {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}},
    }


def schemas_of(errors: Iterable[type[AppError]]) -> dict[str, Any]:
    """The components that `response_of` refers to."""
    return {error.schema_name(): error.schema() for error in errors}
