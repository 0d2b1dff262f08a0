import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.core.clock import now
from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.content.contents import insert_content
from tests.factories import Organization
from tests.sessions.conversations import insert_session
from tests.waiting import PATIENCE

FAILING_MODEL = "sim-chat--status-401"
FAILING_CATALOG = f"""
[[models]]
name = "{FAILING_MODEL}"
kind = "chat"
max_output_tokens = 1000
price = {{ per_million_prompt_tokens = 1, per_million_completion_tokens = 2 }}
"""
FAILING_AGENTS = f"""
[[agents]]
name = "orchestrator"
is_orchestrator = true
model = "{FAILING_MODEL}"
"""


def chat(words: str, session: str, **values: Any) -> dict[str, Any]:
    """A chat request in the session of this name, which is created if it does not exist."""
    body = {"messages": [{"role": "user", "content": words}], "elevenlabs_extra_body": {"conversation_id": session}}
    return body | values


async def status_of(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    status: dict[str, Any] = (await client.get(f"/sessions/{name}/status")).raise_for_status().json()
    return status


async def status_at_rest(client: httpx.AsyncClient, name: str) -> str:
    """Wait until no turn runs on the session. Returns its status then."""
    async with asyncio.timeout(PATIENCE):
        while True:
            status: str = (await status_of(client, name))["status"]
            if status != "processing":
                return status
            await asyncio.sleep(0.05)


async def test_the_status_of_an_idle_session(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    moment = datetime(2025, 12, 6, 10, 30, 0, 900_000, UTC)
    await insert_session(database, organization, public_id="rest", last_update_time=moment, message_count=4)

    status = await status_of(client, "rest")

    assert list(status) == [
        "session_id",
        "status",
        "is_active",
        "message_count",
        "last_update_time",
        "pending_content",
    ]
    assert status == {
        "session_id": "rest",
        "status": "idle",
        "is_active": False,
        "message_count": 4,
        "last_update_time": "2025-12-06T10:30:00Z",
        "pending_content": 0,
    }


@pytest.mark.parametrize(
    ("lease_minutes", "last_turn_failed", "expected"),
    [
        (None, False, "idle"),
        (None, True, "failed"),
        (1, False, "processing"),
        (1, True, "processing"),
        (-1, False, "failed"),
        (-1, True, "failed"),
    ],
)
async def test_a_session_is_processing_for_as_long_as_its_turns_lease(
    client: httpx.AsyncClient,
    database: Database,
    organization: Organization,
    lease_minutes: int | None,
    last_turn_failed: bool,
    expected: str,
) -> None:
    turn: dict[str, Any] = {}
    if lease_minutes is not None:
        turn = {"turn_id": "turn-of-the-test", "turn_lease_until": now() + timedelta(minutes=lease_minutes)}
    await insert_session(database, organization, public_id="leased", last_turn_failed=last_turn_failed, **turn)

    assert (await status_of(client, "leased"))["status"] == expected


async def test_a_session_is_processing_until_its_turn_ends(client: httpx.AsyncClient) -> None:
    body = chat("Please count to 1000 slowly", "long", stream=True)

    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        during = await status_of(client, response.headers["X-Session-ID"])

    assert (during["session_id"], during["status"]) == ("long", "processing")
    assert await status_at_rest(client, "long") == "idle"


async def test_a_session_whose_last_turn_failed_has_the_status_failed(database: Database, stack: Stack) -> None:
    await factories.import_catalog(database, FAILING_CATALOG)
    unlucky = await factories.make_organization(database, agents=FAILING_AGENTS)

    async with httpx.AsyncClient(base_url=stack.base_url, headers=unlucky.headers, timeout=60) as client:
        response = await client.post("/v1/chat/completions", json=chat("Hello", "unlucky"))
        status = await status_of(client, "unlucky")

    assert response.status_code == 502
    assert status["status"] == "failed"


async def test_the_next_turn_that_ends_well_clears_the_failure(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    await insert_session(database, organization, public_id="recovered", last_turn_failed=True)

    (await client.post("/v1/chat/completions", json=chat("Hello", "recovered"))).raise_for_status()

    assert (await status_of(client, "recovered"))["status"] == "idle"


async def test_content_that_has_not_ended_is_counted(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    session = await insert_session(database, organization, public_id="busy")
    other = await insert_session(database, organization, public_id="other")
    for status in ("pending", "pending", "processing", "completed", "failed"):
        await insert_content(database, organization, status, session_id=session.id)
    await insert_content(database, organization, "pending", session_id=other.id)
    await insert_content(database, organization, "pending")

    assert (await status_of(client, "busy"))["pending_content"] == 3
    assert (await status_of(client, "other"))["pending_content"] == 1
    assert (await status_of(client, "busy"))["status"] == "idle"
