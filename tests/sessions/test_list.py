import uuid
from datetime import UTC, datetime

import httpx

from app.core.clock import now
from app.core.database import Database
from tests.factories import Organization
from tests.sessions.conversations import insert_session

SESSION_FIELDS = ["session_id", "created_at", "last_update_time", "is_active", "message_count"]
MOMENT = datetime(2025, 12, 6, 10, 30, 0, 900_000, UTC)


async def test_a_user_without_sessions_has_an_empty_page(client: httpx.AsyncClient) -> None:
    response = await client.get("/sessions")

    assert response.status_code == 200
    assert response.json() == {"sessions": [], "total": 0, "page": 1, "page_size": 20, "has_next": False}
    assert list(response.json()) == ["sessions", "total", "page", "page_size", "has_next"]


async def test_a_session_is_listed_with_whole_seconds(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    session = await insert_session(
        database, organization, message_count=7, created_at=MOMENT, last_update_time=MOMENT.replace(minute=31)
    )

    (listed,) = (await client.get("/sessions")).json()["sessions"]

    assert list(listed) == SESSION_FIELDS
    assert listed == {
        "session_id": session.public_id,
        "created_at": "2025-12-06T10:30:00Z",
        "last_update_time": "2025-12-06T10:31:00Z",
        "is_active": False,
        "message_count": 7,
    }


async def test_a_session_is_active_for_a_day(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    await insert_session(database, organization, public_id="yesterday", hours_ago=24.02)
    await insert_session(database, organization, public_id="today", hours_ago=23.98)

    sessions = (await client.get("/sessions")).json()["sessions"]
    statuses = [(await client.get(f"/sessions/{name}/status")).json() for name in ("today", "yesterday")]

    assert [(session["session_id"], session["is_active"]) for session in sessions] == [
        ("today", True),
        ("yesterday", False),
    ]
    assert [status["is_active"] for status in statuses] == [True, False]


async def test_the_last_updated_comes_first_page_by_page(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    made_in = now()
    for age in (3, 1, 5, 2, 4):
        await insert_session(database, organization, public_id=str(age), hours_ago=age, created_at=made_in)

    pages = [(await client.get("/sessions", params={"page": page, "page_size": 2})).json() for page in (1, 2, 3, 4)]

    assert [[session["session_id"] for session in page["sessions"]] for page in pages] == [
        ["1", "2"],
        ["3", "4"],
        ["5"],
        [],
    ]
    assert [page["has_next"] for page in pages] == [True, True, False, False]
    assert [(page["page"], page["page_size"], page["total"]) for page in pages] == [(n, 2, 5) for n in (1, 2, 3, 4)]


async def test_sessions_of_the_same_time_have_one_order_on_all_pages(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    ids = [uuid.uuid4() for _ in range(6)]
    for session_id in ids:
        await insert_session(database, organization, id=session_id, public_id=str(session_id), last_update_time=MOMENT)

    pages = [(await client.get("/sessions", params={"page": page, "page_size": 2})).json() for page in (1, 2, 3)]

    listed = [session["session_id"] for page in pages for session in page["sessions"]]
    assert listed == sorted(map(str, ids), reverse=True)
