"""A repeated request gets the stored response and does not run again."""

from collections.abc import AsyncIterator

import httpx
import pytest
from openai import AsyncOpenAI

from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.books import charges, faults_of
from tests.idempotency.asking import CHAT, ask, content_of, model_calls, new_key, new_words


@pytest.fixture
async def openai(stack: Stack, organization: Organization) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key=organization.api_key, max_retries=0) as opened:
        yield opened


async def test_a_repeat_gets_the_stored_response(
    stack: Stack, client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    words, key = new_words(), new_key()

    first = await ask(client, words, key)
    repeats = [await ask(client, words, key) for _ in range(2)]

    assert words in content_of(first)
    assert "Idempotent-Replayed" not in first.headers
    for repeat in repeats:
        assert repeat.status_code == 200
        assert repeat.content == first.content
        assert repeat.headers["Idempotent-Replayed"] == "true"
        assert repeat.headers["X-Session-ID"] == first.headers["X-Session-ID"]
        assert repeat.headers["Content-Type"] == first.headers["Content-Type"]
    assert len(model_calls(stack, words)) == 1
    assert len(await charges(database, organization)) == 1
    messages = await client.get(f"/sessions/{first.headers['X-Session-ID']}/messages")
    assert messages.json()["total"] == 2
    assert await faults_of(database, organization) == []


async def test_a_repeated_stream_has_the_same_content(stack: Stack, openai: AsyncOpenAI) -> None:
    words, headers = new_words(), {"Idempotency-Key": new_key()}

    async def stream() -> tuple[tuple[str, str | None, str, int], str | None]:
        raw = await openai.chat.completions.with_raw_response.create(
            model="junis-orchestrator",
            messages=[{"role": "user", "content": words}],
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=headers,
        )
        chunks = [chunk async for chunk in raw.parse()]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
        usage = chunks[-1].usage
        assert usage is not None
        said = (text, reasons[-1], chunks[0].id, usage.total_tokens)
        return said, raw.headers.get("Idempotent-Replayed")

    first, was_replayed = await stream()
    again, is_replayed = await stream()

    assert again == first
    assert words in first[0]
    assert first[1] == "stop"
    assert (was_replayed, is_replayed) == (None, "true")
    assert len(model_calls(stack, words)) == 1


async def test_a_repeat_lists_the_generated_content_and_generates_nothing(client: httpx.AsyncClient) -> None:
    words, key = "Please make simulator/image of a harbour", new_key()

    first = (await ask(client, words, key)).raise_for_status()
    repeat = (await ask(client, words, key)).raise_for_status()

    assert first.json()["generated_content"][0]["status"] == "completed"
    assert repeat.json() == first.json()
    assert (await client.get("/content")).json()["total"] == 1


async def test_client_tool_calls_are_replayed(client: httpx.AsyncClient) -> None:
    tool = {"type": "function", "function": {"name": "lamp", "parameters": {"type": "object", "properties": {}}}}
    words, key = "Use the lamp", new_key()

    first = await ask(client, words, key, tools=[tool], stream=False)
    repeat = await ask(client, words, key, tools=[tool], stream=False)

    assert first.json()["choices"][0]["finish_reason"] == "tool_calls"
    assert repeat.content == first.content


async def test_a_key_belongs_to_one_organization(stack: Stack, client: httpx.AsyncClient, database: Database) -> None:
    words, key = new_words(), new_key()
    other = await factories.make_organization(database)
    async with httpx.AsyncClient(base_url=stack.base_url, headers=other.headers, timeout=30) as other_client:
        responses = [await ask(client, words, key), await ask(other_client, words, key)]

    assert all("Idempotent-Replayed" not in response.headers for response in responses)
    assert responses[0].json()["session_id"] != responses[1].json()["session_id"]
    assert len(model_calls(stack, words)) == 2


async def test_a_key_belongs_to_one_route(stack: Stack, client: httpx.AsyncClient) -> None:
    words, key = new_words(), new_key()
    agents = (await client.get("/agents")).json()["agents"]
    path = f"/agents/{agents[0]['id']}/completions"
    chat = {"messages": [{"role": "user", "content": words}]}

    responses = [await client.post(at, json=chat, headers={"Idempotency-Key": key}) for at in (CHAT, path, path, CHAT)]

    assert ["Idempotent-Replayed" in response.headers for response in responses] == [False, False, True, True]
    assert responses[2].content == responses[1].content
    assert responses[3].content == responses[0].content
    assert len(model_calls(stack, words)) == 2


async def test_without_a_key_every_request_runs(stack: Stack, client: httpx.AsyncClient) -> None:
    words = new_words()
    for _ in range(2):
        (await client.post(CHAT, json={"messages": [{"role": "user", "content": words}]})).raise_for_status()

    assert len(model_calls(stack, words)) == 2
