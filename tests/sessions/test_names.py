"""The names that clients give to their conversations: any text, and numbers."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, ask, stream
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (5, "5"),
        (-7, "-7"),
        (1.5, "1.5"),
        (2**64 - 1, "18446744073709551615"),
        ("séance", "séance"),
        (" two words ", " two words "),
        ("\t\r\n", "\t\r\n"),
        ("a/b?c#d%20e", "a/b?c#d%20e"),
        ("会話🎈", "会話🎈"),
        ("🎈" * 512, "🎈" * 512),
        ("s" * 512, "s" * 512),
    ],
)
async def test_any_text_and_any_number_names_a_conversation(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, given: Any, name: str
) -> None:
    body: dict[str, Any] = {"elevenlabs_extra_body": {"conversation_id": given}}
    first = await ask(http, host, "count to 2", **body)
    second = await stream(http, host, "count to 3", **body)
    third = await answer_of(http, host, "count to 4", session_id=given)
    listed = await http.get(
        f"/sessions/{quote(name, safe='')}/messages", params={"page_size": 100}, headers=host.headers
    )

    assert first.json()["session_id"] == second.session_id == third["session_id"] == name
    assert [len(request["messages"]) for request in upstream.requests()] == [1, 3, 5]
    assert (listed.json()["session_id"], listed.json()["total"]) == (name, 6)


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ("two words", "two words"),
        ("50%", "50%"),
        ("séance", "s%C3%A9ance"),
        (" a\r\nX-Evil: b", "%20a%0D%0AX-Evil%3A%20b"),
        ("🎈" * 512, None),
    ],
)
async def test_the_header_holds_the_name_as_far_as_it_can(
    http: httpx.AsyncClient, host: Organization, given: str, header: str | None
) -> None:
    response = await ask(http, host, "count to 2", elevenlabs_extra_body={"conversation_id": given})

    assert response.headers.get("x-session-id") == header
    assert "x-evil" not in response.headers


async def test_an_empty_name_is_no_name(http: httpx.AsyncClient, host: Organization) -> None:
    body = {"elevenlabs_extra_body": {"conversation_id": ""}}
    first, second = [await answer_of(http, host, "count to 2", **body) for _ in range(2)]

    assert first["session_id"] != second["session_id"]
    assert "" not in (first["session_id"], second["session_id"])
