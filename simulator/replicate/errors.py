from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from simulator.wire import Json, JsonResponse

_THROTTLED_SHORT = "Request was throttled. Your rate limit resets in ~{seconds}s."
_THROTTLED_LONG = (
    "Request was throttled. Your rate limit for creating predictions is reduced to 6 requests per minute "
    "with a burst of 1 requests while you have less than $5.0 in credit. Your rate limit resets in ~{seconds}s."
)


class Problem(Exception):  # noqa: N818  # RFC 9457's word for it
    """A refusal, rendered as problem JSON.

    Args:
        status: The HTTP status.
        detail: What is wrong with this request.
        title: What kind of refusal it is.
        extra: Further members of the document.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str | None = None,
        extra: Json | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.body: Json = {"detail": detail, "status": status, **({"title": title} if title else {}), **(extra or {})}
        self.headers = headers


async def render_problem(request: Request, problem: Exception) -> Response:
    """Starlette's handler for `Problem`."""
    if not isinstance(problem, Problem):
        raise problem
    return JsonResponse(problem.body, problem.status, headers=problem.headers, media_type="application/problem+json")


def unauthenticated() -> Problem:
    """401: no token, or one that is not valid."""
    return Problem(401, "You did not pass a valid authentication token", title="Unauthenticated")


def payment_required() -> Problem:
    """402: no credit."""
    detail = (
        "You have insufficient credit to run this model. Go to https://replicate.com/account/billing#billing "
        "to purchase credit."
    )
    return Problem(402, detail, title="Insufficient credit")


def forbidden() -> Problem:
    """403: the token may not do this."""
    return Problem(403, "You do not have permission to perform this action.", title="Forbidden")


def not_found() -> Problem:
    """404: nothing here."""
    return Problem(404, "The requested resource could not be found.")


def invalid_version() -> Problem:
    """422: the version does not exist, or may not be used (which is also said when billing is missing)."""
    detail = "The specified version does not exist (or perhaps you don't have permission to use it?)"
    return Problem(422, detail, title="Invalid version or not permitted")


def invalid_request(fields: list[Json]) -> Problem:
    """422: the request's body is not of the documented form.

    Args:
        fields: Objects with ``type``, ``field`` and ``description``.
    """
    detail = "".join(f"- {field['description']}\n" for field in fields)
    return Problem(422, detail, title="Input validation failed", extra={"invalid_fields": fields})


def invalid_input(field: str, description: str) -> Problem:
    """422: the model's input does not fit its schema."""
    where = f"input.{field}" if field else "input"
    extra = {"invalid_fields": [{"type": "invalid", "field": where, "description": description}]}
    return Problem(422, f"- {where}: {description}\n", title="Input validation failed", extra=extra)


def throttled(seconds: int, *, has_header: bool) -> Problem:
    """429 in its long form, with ``retry_after`` in the body."""
    headers = {"Retry-After": str(seconds)} if has_header else None
    detail = _THROTTLED_LONG.format(seconds=seconds)
    return Problem(429, detail, extra={"retry_after": seconds}, headers=headers)


def throttled_short(seconds: int) -> Problem:
    """429 that tells the wait in its text only."""
    return Problem(429, _THROTTLED_SHORT.format(seconds=seconds))


def throttled_silent() -> Problem:
    """429 that does not tell how long to wait."""
    return Problem(429, "Request was throttled.")


def internal_error() -> Problem:
    """500."""
    return Problem(500, "An internal error occurred (simulated).", title="Internal server error")
