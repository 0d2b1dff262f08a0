"""What HTTP responses say about limits."""

import time

import httpx

from tests.waiting import PATIENCE


def window(response: httpx.Response, suffix: str = "") -> tuple[int, int]:
    """Limit and remaining requests of one of the response's windows; checks that its reset lies within that window."""
    limit, remaining, reset = (
        int(response.headers[f"X-RateLimit-{name}{suffix}"]) for name in ("Limit", "Remaining", "Reset")
    )
    longest = 61 * 60 if suffix == "-Hour" else 60
    assert time.time() - PATIENCE < reset <= time.time() + longest + 1
    return limit, remaining


async def until_status(client: httpx.AsyncClient, url: str, status: int) -> httpx.Response:
    """The first response with this status."""
    while True:
        response = await client.get(url)
        if response.status_code == status:
            return response
