"""Responses in the background over HTTP, for any organization."""

from typing import Any

import httpx

from app.core.database import Database
from tests.chat.responses.asking import RESPONSES, post
from tests.factories import Organization
from tests.waiting import until

LIVE = {"queued", "in_progress"}
_END = b"\n\n"


async def shown(http: httpx.AsyncClient, organization: Organization, response_id: str) -> dict[str, Any]:
    """The response as it is now."""
    response = await http.get(f"{RESPONSES}/{response_id}", headers=organization.headers)
    found: dict[str, Any] = response.raise_for_status().json()
    return found


async def accepted(http: httpx.AsyncClient, organization: Organization, given: Any, **body: Any) -> dict[str, Any]:
    """A response that is accepted to run in the background."""
    response = await post(http, organization, given, background=True, **body)
    found: dict[str, Any] = response.raise_for_status().json()
    assert found["background"]
    return found


async def begun_stream(
    http: httpx.AsyncClient, organization: Organization, given: Any, until: bytes = b"", key: str | None = None
) -> str:
    """The id of a response whose client leaves once the stream has said this.

    It is in the background, unless its request has an Idempotency-Key.
    """
    body = {"model": "junis-orchestrator", "input": given, "stream": True, "background": key is None}
    headers = organization.headers | ({"Idempotency-Key": key} if key else {})
    raw = b""
    async with http.stream("POST", RESPONSES, json=body, headers=headers) as response:
        async for piece in response.aiter_raw():
            raw += piece
            if b"response.in_progress" in raw and until in raw:
                break
    return f"resp_{raw.split(b'resp_', 1)[1].split(bytes([34]), 1)[0].decode()}"


async def ended(http: httpx.AsyncClient, organization: Organization, response_id: str) -> dict[str, Any]:
    """The response once it has ended."""

    async def has_ended() -> bool:
        return (await shown(http, organization, response_id))["status"] not in LIVE

    await until(has_ended)
    return await shown(http, organization, response_id)


async def resumed(
    http: httpx.AsyncClient, organization: Organization, response_id: str, after: int | None = None
) -> httpx.Response:
    """The stream of a response after the event of a number, read to its end."""
    query = {"stream": "true", **({} if after is None else {"starting_after": str(after)})}
    return await http.get(f"{RESPONSES}/{response_id}", params=query, headers=organization.headers)


def events_of(raw: bytes) -> list[bytes]:
    """The events of a stream, without comments."""
    lines = [line for line in raw.split(b"\n") if not line.startswith(b":")]
    events = b"\n".join(lines).split(_END)
    assert events[-1] == b""
    return events[:-1]


async def let_leases_run_out(database: Database, organization: Organization) -> None:
    """Let the leases of the organization's responses expire, as if their processes had been frozen for long."""
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE response_runs SET lease_until = now() WHERE lease_until IS NOT NULL AND organization_id = $1",
            organization.id,
        )


async def have_model(database: Database, organization: Organization, model: str) -> None:
    """Give the organization's orchestrator another model."""
    async with database.transaction() as tx:
        await tx.execute("UPDATE agents SET model = $2 WHERE organization_id = $1", organization.id, model)
