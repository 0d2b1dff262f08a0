"""`/openapi.json` as the whole contract.

FastAPI derives parameters, bodies and results from the routes. What it cannot see is added here: keys and scopes, the
errors that routes and their dependencies have noted with `may_raise`, and the headers of every response.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.constants import REF_TEMPLATE
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic.json_schema import models_json_schema

from app.chat.openai.documents import ChatCompletionChunk
from app.chat.openai.text_form import TextCompletionChunk
from app.core.documentation import errors_of, response_of, schemas_of
from app.core.errors import (
    AppError,
    InvalidRequestError,
    PayloadTooLargeError,
    ServerBusyError,
    UnsupportedMediaTypeError,
)
from app.openapi_headers import HEADERS, SECURITY_SCHEMES, error_headers, result_headers
from app.rate_limits.dependencies import Guard, GuardedRoute

_DESCRIPTION = """\
The Junis External API. Every error has the form `{"error": {"message", "type", "code"}}`, unless an operation says
otherwise, and every response has the header `X-Request-ID`; `x-should-retry: false` tells that repeating a request
cannot help. A path that does not exist is a 404, another method a 405, headers of more than 64 KiB or 100 fields a 431.
"""

_Json = dict[str, Any]


def document_of(application: FastAPI) -> _Json:
    """The OpenAPI document of the application's routes."""
    document = get_openapi(
        title=application.title,
        version=application.version,
        summary=application.summary,
        description=_DESCRIPTION,
        routes=application.routes,
    )
    errors: set[type[AppError]] = set()
    for route, operation in _operations(application, document):
        errors.update(_complete(route, operation))
    components = document["components"]
    components["schemas"].update(schemas_of(errors))
    components["schemas"].update(_schemas_of_events())
    # FastAPI's own form of errors, which no route responds with.
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["securitySchemes"] = SECURITY_SCHEMES
    components["headers"] = HEADERS
    return document


def _schemas_of_events() -> _Json:
    chunks = (ChatCompletionChunk, TextCompletionChunk)
    _, schemas = models_json_schema([(chunk, "serialization") for chunk in chunks], ref_template=REF_TEMPLATE)
    found: _Json = schemas["$defs"]
    return found


def _operations(application: FastAPI, document: _Json) -> Iterator[tuple[APIRoute, _Json]]:
    for context in iter_route_contexts(application.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.include_in_schema:
            operations = document["paths"][context.path_format]
            for method in route.methods or ():
                yield route, operations[method.lower()]


def _complete(route: APIRoute, operation: _Json) -> set[type[AppError]]:
    """Add to an operation what FastAPI cannot see; returns the errors that it may end with."""
    responses = operation["responses"]
    responses.pop("422", None)
    guards = [call for call in _calls(route.dependant) if isinstance(call, Guard)]
    for guard in guards:
        # Since OpenAPI 3.1 the scopes of schemes other than OAuth may be listed, too.
        operation["security"] = [{name: list(guard.scopes)} for name in SECURITY_SCHEMES]
    for response in responses.values():
        response.setdefault("headers", {}).update(result_headers(is_guarded=bool(guards)))
    errors = _errors_of(route)
    by_status = defaultdict(set)
    for error in errors:
        by_status[error.status].add(error)
    for status, of_status in by_status.items():
        responses[str(status)] = response_of(of_status, error_headers(status, is_guarded=bool(guards)))
    for parameter in operation.get("parameters", ()):
        _forbid_null(parameter)
    return errors


def _errors_of(route: APIRoute) -> set[type[AppError]]:
    errors: set[type[AppError]] = {AppError}
    errors.update(error for call in _calls(route.dependant) for error in errors_of(call))
    invalid = route.invalid_request if isinstance(route, GuardedRoute) else InvalidRequestError
    if route.body_field:
        errors |= {invalid, PayloadTooLargeError, UnsupportedMediaTypeError, ServerBusyError}
    if any(dependant.query_params or dependant.header_params for dependant in _tree(route.dependant)):
        errors.add(invalid)
    # Whatever says that a request is invalid, the route gives it its own form.
    return {invalid if error is InvalidRequestError else error for error in errors}


def _calls(dependant: Dependant) -> Iterator[object]:
    return (found.call for found in _tree(dependant))


def _tree(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for dependency in dependant.dependencies:
        yield from _tree(dependency)


def _forbid_null(parameter: _Json) -> None:
    """A parameter that may be left out is no parameter that may be null: in a URL, null is a text."""
    schema = parameter["schema"]
    if "anyOf" in schema:
        (kept,) = [kind for kind in schema.pop("anyOf") if kind != {"type": "null"}]
        parameter["schema"] = {**schema, **kept}
