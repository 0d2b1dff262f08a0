"""A key is of the user who made the API key, as sessions are."""

import httpx

from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.idempotency.asking import ask, model_calls, new_key, new_words
from tests.sessions.conversations import make_colleague


async def test_another_user_with_the_same_key_and_body_gets_an_answer_of_their_own(
    stack: Stack, client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    colleague = await make_colleague(database, organization)
    words, key = new_words(), new_key()

    first = await ask(client, words, key)
    async with httpx.AsyncClient(base_url=stack.base_url, headers=colleague.headers, timeout=60) as other:
        second, again = await ask(other, words, key), await ask(other, words, key)

    assert "Idempotent-Replayed" not in second.headers
    assert second.json()["session_id"] != first.json()["session_id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.content == second.content
    assert len(model_calls(stack, words)) == 2


async def test_another_key_of_the_same_user_gets_the_stored_answer(
    stack: Stack, client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    words, key = new_words(), new_key()
    first = await ask(client, words, key)

    headers = {"X-API-Key": await factories.make_key(database, organization)}
    async with httpx.AsyncClient(base_url=stack.base_url, headers=headers, timeout=60) as other:
        again = await ask(other, words, key)

    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.content == first.content
