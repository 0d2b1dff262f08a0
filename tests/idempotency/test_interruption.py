"""A turn with a key goes on without its client. The key outlives a turn that was lost, but not for ever."""

import asyncio
import secrets

import httpx
import pytest

from app.core.database import Database
from app.idempotency.service import forget_expired
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.books import charges, faults_of, until_ended
from tests.idempotency.asking import (
    CHAT,
    ask,
    ask_until_answered,
    content_of,
    make_organization_with,
    model_calls,
    new_key,
    new_words,
)
from tests.sessions.conversations import make_colleague
from tests.waiting import until

GENERATOR = '[[models]]\nname = "{model}"\nkind = "generation"\nprice = {{ per_call = 1, ceiling = 1 }}\n'


async def hang_up_during_model_call(
    stack: Stack, client: httpx.AsyncClient, words: str, headers: dict[str, str]
) -> None:
    """Send a chat request, and hang up once the model has been called."""
    chat = {"messages": [{"role": "user", "content": words}]}
    asking = asyncio.create_task(client.post(CHAT, json=chat, headers=headers))
    await until(lambda: _is_asked(stack, words))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_turn_with_a_key_goes_on_after_its_client_hangs_up(
    stack: Stack, client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    words, key = new_words("Slowly tell me all of"), new_key()

    await hang_up_during_model_call(stack, client, words, {"Idempotency-Key": key})
    answered = await ask_until_answered(client, words, key)

    assert answered.headers["Idempotent-Replayed"] == "true"
    assert words in content_of(answered)
    (call,) = model_calls(stack, words)
    assert call["outcome"] == "finished"
    assert len(await charges(database, organization)) == 1
    assert await faults_of(database, organization) == []


async def test_a_stream_with_a_key_goes_on_after_its_client_hangs_up(
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


async def test_a_turn_without_a_key_ends_when_its_client_hangs_up(stack: Stack, database: Database) -> None:
    organization = await make_organization_with(database, "sim-chat--stall")
    words = new_words()
    async with httpx.AsyncClient(base_url=stack.base_url, headers=organization.headers, timeout=60) as client:
        await hang_up_during_model_call(stack, client, words, {})

    async def is_over() -> bool:
        return [call["outcome"] for call in model_calls(stack, words)] == ["client_disconnected"]

    await until(is_over)
    await until_ended(database, organization)
    assert await charges(database, organization) == {}
    assert await faults_of(database, organization) == []


@pytest.mark.parametrize("repeat", ["same", "other key", "other user"])
async def test_a_repeat_with_the_same_key_adopts_the_generation_of_the_failed_turn(
    stack: Stack, database: Database, repeat: str
) -> None:
    # Priced here only: other tests share the catalog, and expect the usual price of `start-slow-1`.
    model, generator = f"sim-chat-{secrets.token_hex(4)}", "simulator/image--start-slow-2"
    organization = await make_organization_with(database, model, tools=["replicate_generate"])
    again = await make_colleague(database, organization) if repeat == "other user" else organization
    await factories.import_catalog(database, GENERATOR.format(model=generator))
    words, key = new_words(f"Please make {generator} of"), new_key()
    async with httpx.AsyncClient(base_url=stack.base_url, headers=organization.headers, timeout=60) as client:
        failing = asyncio.create_task(ask(client, words, key))
        await until(lambda: _is_asked(stack, words))
        stack.simulator.order_fault(model, "status-500")
        failed = await failing
        client.headers.update(again.headers)
        completion = (await ask(client, words, new_key() if repeat == "other key" else key)).json()

    assert failed.status_code == 502, failed.text
    made = ["generation"] if repeat == "same" else ["generation", "generation"]
    charged = sorted(reference.partition(":")[0] for reference in await charges(database, organization))
    # The failed turn is charged for the call that asked for the generation.
    assert charged == [*made, "turn", "turn"]
    (content,) = completion["generated_content"]
    assert content["status"] == "completed"
    assert content["storage_url"] in completion["choices"][0]["message"]["content"]
    assert await faults_of(database, organization) == []


async def test_a_stored_response_is_kept_for_a_day(
    stack: Stack, client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    words, key = new_words(), new_key()
    first = await ask(client, words, key)

    await let_a_day_pass(database, organization, key)
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
    await let_a_day_pass(database, organization, old)

    await forget_expired(database)

    async with database.transaction() as tx:
        left = await tx.fetch("SELECT key FROM user_idempotency_keys WHERE organization_id = $1", organization.id)
    assert [row["key"] for row in left] == [young]


async def _is_asked(stack: Stack, words: str) -> bool:
    return bool(model_calls(stack, words))


async def let_a_day_pass(database: Database, organization: Organization, key: str) -> None:
    """Let the time pass for which the key's response is stored."""
    async with database.transaction() as tx:
        for table in ("user_idempotency_keys", "idempotency_keys"):
            await tx.execute(
                f"UPDATE {table} SET expires_at = expires_at - interval '24 hours'"
                " WHERE organization_id = $1 AND key = $2",
                organization.id,
                key,
            )
