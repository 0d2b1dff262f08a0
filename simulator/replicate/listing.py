from itertools import dropwhile, islice, takewhile
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from simulator.clock import parse_timestamp
from simulator.replicate.errors import Problem
from simulator.replicate.predictions import Prediction
from simulator.replicate.schemas import prediction_object
from simulator.state import base_url_of, simulator_of
from simulator.wire import JsonResponse

PAGE_SIZE = 100


async def list_predictions(request: Request) -> Response:
    """Answer ``GET /predictions``: newest first, 100 a page.

    Raises:
        Problem: 400, ``created_after`` or ``created_before`` is no moment.
    """
    simulator = simulator_of(request)
    rows = list(islice(_selected(request), PAGE_SIZE + 1))
    page = rows[:PAGE_SIZE]
    now = simulator.clock.now()
    return JsonResponse(
        {
            "previous": None,
            "next": _next_url(request, page[-1]) if len(rows) > PAGE_SIZE else None,
            "results": [prediction_object(prediction, now) for prediction in page],
        }
    )


def _selected(request: Request) -> "takewhile[Prediction]":
    """The predictions behind the cursor and between the two moments; its cursor is the last id of the page before."""
    after, before = _moment(request, "created_after"), _moment(request, "created_before")
    rows = simulator_of(request).predictions.newest_first()
    cursor = request.query_params.get("cursor")
    if cursor is not None:
        rows = islice(dropwhile(lambda row: row.id != cursor, rows), 1, None)
    if before is not None:
        rows = dropwhile(lambda row: row.created_at >= before, rows)
    return takewhile(lambda row: after is None or row.created_at > after, rows)


def _next_url(request: Request, last: Prediction) -> str:
    query = {**request.query_params, "cursor": last.id}
    return f"{base_url_of(request)}{request.url.path}?{urlencode(query)}"


def _moment(request: Request, name: str) -> float | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise Problem(400, f"{name} must be an ISO 8601 timestamp") from error
