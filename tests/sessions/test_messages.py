import re
from datetime import UTC, datetime
from typing import Any

import httpx

from app.core.database import Database
from app.sessions.repository import find_history
from tests.factories import Organization
from tests.sessions.conversations import insert_talk
from tests.sessions.reading import messages_of

MESSAGE_FIELDS = ["id", "role", "content", "agent", "tool_calls", "tool_call_id", "created_at", "superseded"]
MOMENT = datetime(2025, 12, 6, 10, 30, 0, 900_000, UTC)


async def test_messages_come_oldest_first_page_by_page(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    said = [{"role": "user", "content": str(number)} for number in range(5)]
    session = await insert_talk(database, organization, *said)
    path = f"/sessions/{session.public_id}/messages"

    pages = [(await client.get(path, params={"page": page, "page_size": 2})).json() for page in (1, 2, 3, 4)]

    assert list(pages[0]) == ["session_id", "messages", "total", "page", "page_size", "has_next"]
    assert [[message["content"] for message in page["messages"]] for page in pages] == [
        ["0", "1"],
        ["2", "3"],
        ["4"],
        [],
    ]
    assert [page["has_next"] for page in pages] == [True, True, False, False]
    whole = (await client.get(path, params={"page_size": 5})).json()
    assert (len(whole["messages"]), whole["has_next"]) == (5, False)
    assert {(page["session_id"], page["total"], page["page_size"]) for page in pages} == {(session.public_id, 5, 2)}


async def test_a_message_is_shown_as_it_was_said(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    parts = [{"type": "text", "text": "ü🦊"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"far": 1}'}}
    session = await insert_talk(
        database,
        organization,
        {"role": "user", "content": parts, "created_at": MOMENT},
        {"role": "assistant", "agent": "host", "tool_calls": [call], "created_at": MOMENT},
        {"role": "tool", "agent": "host", "content": "seen", "tool_call_id": "call_1", "created_at": MOMENT},
    )

    path = f"/sessions/{session.public_id}/messages"
    messages = (await client.get(path)).json()["messages"]

    nothing: dict[str, Any] = dict.fromkeys(("content", "agent", "tool_calls", "tool_call_id"))
    nothing |= {"created_at": "2025-12-06T10:30:00Z", "superseded": False}
    assert all(list(message) == MESSAGE_FIELDS for message in messages)
    ids = [message.pop("id") for message in messages]
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"msg-[0-9a-f]{24}", name) for name in ids)
    assert ids == [shown["id"] for shown in (await client.get(path)).json()["messages"]]
    assert messages == [
        nothing | {"role": "user", "content": parts},
        nothing | {"role": "assistant", "agent": "host", "tool_calls": [call]},
        nothing | {"role": "tool", "agent": "host", "content": "seen", "tool_call_id": "call_1"},
    ]


async def test_the_messages_of_a_turn_can_be_read(client: httpx.AsyncClient) -> None:
    asked = {"role": "user", "content": "Please make simulator/image of a lighthouse"}
    completion = (await client.post("/v1/chat/completions", json={"messages": [asked]})).raise_for_status().json()

    page = (await client.get(f"/sessions/{completion['session_id']}/messages")).json()
    (listed,) = (await client.get("/sessions")).json()["sessions"]

    user, call, result, answer = page["messages"]
    assert [message["role"] for message in page["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert [message["agent"] for message in (user, call, answer)] == [None, "orchestrator", "orchestrator"]
    assert user["content"] == asked["content"]
    assert call["tool_calls"][0]["function"]["name"] == "replicate_generate"
    assert result["tool_call_id"] == call["tool_calls"][0]["id"]
    assert completion["generated_content"][0]["id"] in result["content"]
    assert answer["content"] == completion["choices"][0]["message"]["content"]
    assert (listed["session_id"], listed["message_count"]) == (completion["session_id"], page["total"])
    assert listed["is_active"] is True


async def test_a_page_that_would_be_too_large_leaves_out_the_last_messages(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    # This compresses well in the database, but the size that counts is that of the response.
    huge = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 9_000_000}"}}]
    said = [{"role": "user", "content": content} for content in (huge, "small", huge, "Hello")]
    session = await insert_talk(database, organization, *said)
    path = f"/sessions/{session.public_id}/messages"

    page = (await client.get(path)).json()
    alone = (await client.get(path, params={"page": 3, "page_size": 1})).json()

    left_out = "(Left out: this page would be too large. Ask for fewer messages at once.)"
    assert [message["content"] for message in page["messages"]] == [huge, "small", left_out, left_out]
    assert [message["content"] for message in alone["messages"]] == [huge]


async def test_a_message_that_cannot_be_read_fails_no_page_and_no_turn(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    """Postgres stores numbers that are too large for a float. Another version of the server may have stored one."""
    session = await insert_talk(
        database, organization, {"role": "user", "content": "odd"}, {"role": "assistant", "content": "words"}
    )
    async with database.transaction() as tx:
        await tx.execute(
            """UPDATE messages SET content = $2::text::jsonb WHERE session_id = $1 AND content = '"odd"'""",
            session.id,
            f'[{{"type": "text", "text": "odd", "n": {"1" * 400}}}]',
        )

    odd = [{"type": "text", "text": "odd", "n": None}]
    assert await messages_of(client, organization, session.public_id) == [("user", odd), ("assistant", "words")]
    async with database.transaction() as tx:
        history = await find_history(tx, session.id, 10, 1000)
    assert [message.content for message in history] == [odd, "words"]
