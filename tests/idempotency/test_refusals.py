"""When a request is refused because of its key, and when a failure frees the key."""

import uuid
from decimal import Decimal

import httpx
import pytest

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.credits import service as credits
from tests import factories
from tests.conftest import Stack
from tests.faults.books import charges, faults_of
from tests.idempotency.asking import (
    CHAT,
    ask,
    content_of,
    make_organization_with,
    model_calls,
    new_key,
    new_words,
)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_key_that_was_used_with_another_body_is_refused(
    stack: Stack, client: httpx.AsyncClient, *, is_streamed: bool
) -> None:
    words, key = new_words(), new_key()
    (await ask(client, words, key)).raise_for_status()

    refused = await ask(client, f"{words} again", key, stream=is_streamed)

    assert refused.status_code == 409
    assert refused.json()["error"] == {
        "message": "This Idempotency-Key was used with another request",
        "type": "invalid_request_error",
        "code": "idempotency_key_reused",
    }
    assert refused.headers["x-should-retry"] == "false"
    assert "Retry-After" not in refused.headers
    assert model_calls(stack, f"{words} again") == []


@pytest.mark.parametrize("key", ["x" * 256, ""])
async def test_a_key_has_1_to_255_characters(client: httpx.AsyncClient, key: str) -> None:
    refused = await ask(client, "Hello", key)
    on_content = await client.post("/content/x/retry", headers={"Idempotency-Key": key})

    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "invalid_request"
    assert refused.json()["error"]["param"] == "idempotency-key"
    assert on_content.status_code == 400
    assert list(on_content.json()) == ["detail"]


async def test_a_key_of_255_characters_works(client: httpx.AsyncClient) -> None:
    words, key = new_words(), new_key().ljust(255, "x")

    responses = [await ask(client, words, key) for _ in range(2)]

    assert responses[1].headers["Idempotent-Replayed"] == "true"
    assert responses[1].content == responses[0].content


async def test_a_refusal_for_lack_of_credits_frees_the_key(stack: Stack, database: Database) -> None:
    poor = await factories.make_organization(database, credit="0")
    words, key = new_words(), new_key()
    async with httpx.AsyncClient(base_url=stack.base_url, headers=poor.headers, timeout=30) as client:
        refused = await ask(client, words, key)
        async with database.transaction() as tx:
            await credits.grant(
                tx, organization_id=poor.id, amount=Decimal(1), reference=f"later:{poor.id}", actor=COMMAND_LINE
            )
        answered = await ask(client, words, key)
        repeated = await ask(client, words, key)

    assert refused.status_code == 402
    assert words in content_of(answered)
    assert repeated.content == answered.content
    assert len(await charges(database, poor)) == 1


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("fault", ["status-500-1", "html-502-1", "drop-before-response-1"])
async def test_a_failure_of_the_provider_frees_the_key(
    stack: Stack, database: Database, fault: str, *, is_streamed: bool
) -> None:
    failing = await make_organization_with(database, f"sim-chat--{fault}")
    words, key = new_words(), new_key()
    async with httpx.AsyncClient(base_url=stack.base_url, headers=failing.headers, timeout=30) as client:
        failed = await ask(client, words, key, stream=is_streamed)
        answered = await ask(client, words, key, stream=is_streamed)
        repeated = await ask(client, words, key, stream=is_streamed)

    assert failed.status_code == 502
    assert failed.json()["error"]["code"] == "provider_error"
    assert answered.status_code == 200
    assert "Idempotent-Replayed" not in answered.headers
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert len(model_calls(stack, words)) == 2
    assert len(await charges(database, failing)) == 1
    assert await faults_of(database, failing) == []


async def test_a_stream_that_breaks_off_frees_the_key(stack: Stack, database: Database) -> None:
    failing = await make_organization_with(database, "sim-chat--error-frame-3")
    words, key = new_words(), new_key()
    async with httpx.AsyncClient(base_url=stack.base_url, headers=failing.headers, timeout=30) as client:
        responses = [await ask(client, words, key, stream=True) for _ in range(2)]

    for response in responses:
        assert response.status_code == 200
        assert "Idempotent-Replayed" not in response.headers
        assert '"error"' in response.text
    # The client has received a part of both streams, so both are charged.
    assert len(model_calls(stack, words)) == 2
    assert len(await charges(database, failing)) == 2
    assert await faults_of(database, failing) == []


@pytest.mark.parametrize("keys", [("a", "b"), ("a", "b", "a"), ("a", "A"), ("a, b", "a")])
async def test_keys_that_differ_are_refused(client: httpx.AsyncClient, keys: tuple[str, ...]) -> None:
    headers = [("Idempotency-Key", key) for key in keys]

    refused = [await client.post(path, json={}, headers=headers) for path in (CHAT, f"/content/{uuid.uuid4()}/retry")]

    text = "Several Idempotency-Key headers were sent, and they differ"
    assert [response.status_code for response in refused] == [400, 400]
    assert refused[0].json()["error"] == {"message": text, "type": "invalid_request_error", "code": "invalid_request"}
    assert refused[1].json() == {"detail": text}


async def test_a_key_that_is_sent_twice_is_one_key(client: httpx.AsyncClient) -> None:
    headers = [("Idempotency-Key", "a, b")] * 2

    # The key is accepted, and the content is not found.
    assert (await client.post(f"/content/{uuid.uuid4()}/retry", headers=headers)).status_code == 404


async def test_a_request_that_is_not_admitted_does_not_use_up_its_key(client: httpx.AsyncClient) -> None:
    words, key = new_words(), new_key()

    refused = [
        await ask(client, words, key, session_id="sess-nobody"),
        await ask(client, words, key, model="agent/nobody"),
        await client.post(CHAT, content=b"{", headers={"Idempotency-Key": key}),
    ]

    assert [response.status_code for response in refused] == [404, 404, 400]
    assert words in content_of(await ask(client, words, key))
