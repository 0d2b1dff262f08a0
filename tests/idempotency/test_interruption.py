"""A run with a key outlives its client; a key outlives a run that was lost, but not for ever."""

import asyncio
import json
import secrets

import httpx
import pytest

from app.core.database import Database
from app.idempotency.service import forget_expired
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.books import charges, faults_of, until, until_ended
from tests.faults.vendors import order_fault
from tests.idempotency.asking import (
    CHAT,
    IN_PROGRESS,
    ask,
    ask_until_answered,
    content_of,
    make_organization_with,
    model_calls,
    new_key,
    new_words,
)


async def hang_up_amid(stack: Stack, client: httpx.AsyncClient, words: str, headers: dict[str, str]) -> None:
    """Ask, and hang up once the model has been called."""
    chat = {"messages": [{"role": "user", "content": words}]}
    asking = asyncio.create_task(client.post(CHAT, json=chat, headers=headers))
    await until(lambda: _is_asked(stack, words))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_the_run_of_a_client_that_hangs_up_goes_on(
    stack: Stack, client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    words, key = new_words("Slowly tell me all of"), new_key()

    await hang_up_amid(stack, client, words, {"Idempotency-Key": key})
    answered = await ask_until_answered(client, words, key)

    assert answered.headers["Idempotent-Replayed"] == "true"
    assert words in content_of(answered)
    (call,) = model_calls(stack, words)
    assert call["outcome"] == "finished"
    assert len(await charges(database, organization)) == 1
    assert await faults_of(database, organization) == []


async def test_a_stream_that_nobody_reads_goes_on(
    stack: Stack, client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    words, key = new_words("Slowly tell me of"), new_key()
    chat = {"messages": [{"role": "user", "content": words}], "stream": True}
    async with client.stream("POST", CHAT, json=chat, headers={"Idempotency-Key": key}) as streamed:
        assert streamed.status_code == 200
        await anext(streamed.aiter_lines())

    answered = await ask_until_answered(client, words, key, stream=True)

    assert answered.headers["Idempotent-Replayed"] == "true"
    assert words in answered.text
    assert answered.text.endswith("data: [DONE]\n\n")
    assert len(model_calls(stack, words)) == 1
    assert len(await charges(database, organization)) == 1


async def test_without_a_key_the_run_ends_with_its_client(stack: Stack, database: Database) -> None:
    organization = await make_organization_with(database, "sim-chat--stall")
    words = new_words()
    async with httpx.AsyncClient(base_url=stack.base_url, headers=organization.headers, timeout=60) as client:
        await hang_up_amid(stack, client, words, {})

    async def is_over() -> bool:
        return [call["outcome"] for call in model_calls(stack, words)] == ["client_disconnected"]

    await until(is_over)
    await until_ended(database, organization)
    assert await charges(database, organization) == {}
    assert await faults_of(database, organization) == []


async def test_an_answer_is_kept_for_a_day(
    stack: Stack, client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    words, key = new_words(), new_key()
    first = await ask(client, words, key)

    await shift(database, organization, key, "expires_at", "24 hours")
    again = await ask(client, words, key)

    assert "Idempotent-Replayed" not in again.headers
    assert again.json()["session_id"] != first.json()["session_id"]
    assert len(model_calls(stack, words)) == 2
    assert (await ask(client, words, key)).content == again.content


async def test_expired_keys_are_forgotten(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    old, young = new_key(), new_key()
    for key in (old, young):
        (await ask(client, new_words(), key)).raise_for_status()
    await shift(database, organization, old, "expires_at", "24 hours")

    await forget_expired(database)

    async with database.transaction() as tx:
        left = await tx.fetch("SELECT key FROM idempotency_keys WHERE organization_id = $1", organization.id)
    assert [row["key"] for row in left] == [young]


@pytest.mark.parametrize("fate", ["it ends well", "it fails"])
async def test_a_key_whose_run_seems_to_be_lost_runs_again_and_is_charged_once(
    stack: Stack, database: Database, fate: str
) -> None:
    model = f"sim-chat-{secrets.token_hex(4)}"
    organization = await make_organization_with(database, model)
    words, key = new_words(), new_key()
    if fate == "it fails":
        order_fault(stack.simulator, model, "error-frame-3")
    async with httpx.AsyncClient(base_url=stack.base_url, headers=organization.headers, timeout=60) as client:
        # Neither run can store what was said, so that both are there at once.
        async with database.transaction() as tx:
            await tx.execute("LOCK TABLE messages IN SHARE MODE")
            first = asyncio.create_task(ask(client, words, key, stream=True))
            await until(lambda: _waits(database, 1))
            in_progress = await ask(client, words, key, stream=True)
            other_body = await ask(client, f"{words}!", key, stream=True)
            await shift(database, organization, key, "lease_until", "60 seconds")
            second = asyncio.create_task(ask(client, words, key, stream=True))
            await until(lambda: _waits(database, 2))
        answers = await asyncio.gather(first, second)
        repeated = await ask(client, words, key, stream=True)

    assert in_progress.json()["error"] == IN_PROGRESS
    assert other_body.json()["error"]["code"] == "idempotency_key_reused"
    assert len(model_calls(stack, words)) == 2
    assert ('"error"' in answers[0].text) == (fate == "it fails")
    # The key is the second run's: its answer is kept, and it alone is charged.
    ids = [json.loads(answer.text.partition("\n")[0].removeprefix("data: "))["id"] for answer in (*answers, repeated)]
    assert ids[0] != ids[1] == ids[2]
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert len(await charges(database, organization)) == 1
    assert await faults_of(database, organization) == []


async def shift(database: Database, organization: Organization, key: str, column: str, time: str) -> None:
    """Let this much time pass for one of the key's moments."""
    async with database.transaction() as tx:
        await tx.execute(
            f"UPDATE idempotency_keys SET {column} = {column} - interval '{time}'"  # noqa: S608 - from this file
            " WHERE organization_id = $1 AND key = $2",
            organization.id,
            key,
        )


async def _is_asked(stack: Stack, words: str) -> bool:
    return bool(model_calls(stack, words))


async def _waits(database: Database, turns: int) -> bool:
    """Whether as many turns wait to store what was said."""
    async with database.transaction() as tx:
        waiting = await tx.fetchval(
            "SELECT count(*) FROM pg_locks WHERE relation = 'messages'::regclass AND NOT granted"
        )
    return bool(waiting == turns)
