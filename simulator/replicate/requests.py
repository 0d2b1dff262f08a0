"""Reading the bodies and headers of requests as strictly as Replicate does."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from simulator.replicate.errors import Problem, forbidden, invalid_request, payment_required, unauthenticated
from simulator.state import simulator_of
from simulator.wire import Json, load

EVENTS = ("start", "output", "logs", "completed")

LONGEST_WAIT = 60
SHORTEST_LIFE = 5.0

_FIELDS = frozenset({"version", "input", "webhook", "webhook_events_filter", "stream"})
_WAIT = re.compile(r"wait(=(?P<seconds>[1-9]\d?))?")
_DURATION = re.compile(r"((?P<hours>\d{1,9})h)?((?P<minutes>\d{1,9})m)?((?P<seconds>\d{1,9})s?)?")
_REFUSED_TOKENS = {"revoked": unauthenticated, "unpaid": payment_required, "forbidden": forbidden}


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """The body of a POST that creates a prediction."""

    version: str | None
    values: Json
    webhook: str | None
    webhook_events: tuple[str, ...]


def check_token(request: Request) -> None:
    """Accept any token but those that were revoked, and the three that stand for a refusal.

    These are ``revoked``, ``unpaid`` and ``forbidden``.

    Raises:
        Problem: 401, 402 or 403.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in {"bearer", "token"} or not token.strip():
        raise unauthenticated()
    refusal = _REFUSED_TOKENS.get("revoked" if token.strip() in simulator_of(request).revoked else token.strip())
    if refusal is not None:
        raise refusal()


def parse_create_request(content: bytes, *, has_version: bool) -> CreateRequest:
    """Read the body of a creation.

    Args:
        content: The body.
        has_version: Whether it must name a version (it must not if the path names the model).

    Raises:
        Problem: 400 if it is not a JSON object, 422 for a missing, misspelled or unusable member.
    """
    body = _json_object(content)
    required = {"input", "version"} if has_version else {"input"}
    faults = [_field_fault("required", f"{name} is required") for name in sorted(required) if body.get(name) is None]
    unknown = sorted(body.keys() - (_FIELDS if has_version else _FIELDS - {"version"}))
    faults += [
        _field_fault("additional_property_not_allowed", f"Additional property {name} is not allowed")
        for name in unknown
    ]
    faults += [*_type_faults(body), *_webhook_faults(body)]
    if faults:
        raise invalid_request(faults)
    events = tuple(body.get("webhook_events_filter") or ())
    return CreateRequest(body.get("version"), body["input"], body.get("webhook"), events)


def parse_prefer(header: str | None) -> float | None:
    """Read ``Prefer: wait`` or ``wait=n`` as seconds, at most 60; None if the client does not want to wait."""
    match = _WAIT.fullmatch((header or "").strip())
    if match is None:
        return None
    return float(min(int(match["seconds"] or LONGEST_WAIT), LONGEST_WAIT))


def parse_cancel_after(header: str | None) -> float | None:
    """Read ``Cancel-After`` (``30``, ``30s``, ``5m``, ``1h30m45s``) as seconds.

    Raises:
        Problem: 422, it is not a duration or less than five seconds.
    """
    if header is None:
        return None
    match = _DURATION.fullmatch(header.strip())
    if match is None or not header.strip():
        raise Problem(422, "Cancel-After must be a duration such as 30s, 5m or 1h30m45s")
    hours, minutes, seconds = (int(match[name] or 0) for name in ("hours", "minutes", "seconds"))
    total = float(hours * 3600 + minutes * 60 + seconds)
    if total < SHORTEST_LIFE:
        raise Problem(422, "Cancel-After must be at least 5 seconds")
    return total


def _json_object(content: bytes) -> Json:
    try:
        body = load(content)
    except ValueError as error:
        raise Problem(400, "The request body is not valid JSON.", title="Bad request") from error
    if not isinstance(body, dict):
        raise Problem(400, "The request body must be a JSON object.", title="Bad request")
    return body


def _type_faults(body: Json) -> list[Json]:
    types = {"input": dict, "version": str, "webhook": str, "webhook_events_filter": list}
    names = {dict: "an object", str: "a string", list: "an array"}
    return [
        _field_fault("invalid_type", f"{name} must be {names[kind]}", name)
        for name, kind in types.items()
        if body.get(name) is not None and not isinstance(body[name], kind)
    ]


def _webhook_faults(body: Json) -> list[Json]:
    faults = []
    webhook, events = body.get("webhook"), body.get("webhook_events_filter")
    if isinstance(webhook, str) and not _is_url(webhook):
        faults.append(_field_fault("format", "webhook must be a URL", "webhook"))
    if isinstance(events, list) and not set(map(str, events)) <= set(EVENTS):
        description = f"webhook_events_filter may hold {', '.join(EVENTS)}"
        faults.append(_field_fault("enum", description, "webhook_events_filter"))
    return faults


def _is_url(text: str) -> bool:
    try:
        return urlsplit(text).scheme in {"http", "https"}
    except ValueError:
        return False


def _field_fault(kind: str, description: str, field: str = "") -> Json:
    return {"type": kind, "field": field, "description": description}
