"""Of simultaneous requests with one key, only one runs."""

import asyncio

import httpx
from openai import AsyncOpenAI

from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.books import charges, faults_of
from tests.idempotency.asking import IN_PROGRESS, ask, ask_until_answered, content_of, model_calls, new_key, new_words


async def test_only_one_of_100_simultaneous_requests_runs(
    stack: Stack, client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    words, key = new_words("Slowly tell me of"), new_key()

    responses = await asyncio.gather(*(ask(client, words, key) for _ in range(100)))
    late = await ask_until_answered(client, words, key)

    answered = [response for response in responses if response.status_code == 200]
    refused = [response for response in responses if response.status_code != 200]
    assert {response.content for response in (*answered, late)} == {late.content}
    assert words in content_of(late)
    assert sum("Idempotent-Replayed" not in response.headers for response in answered) == 1
    for response in refused:
        assert response.status_code == 409
        assert response.json()["error"] == IN_PROGRESS
        assert response.headers["Retry-After"] == "1"
        assert "x-should-retry" not in response.headers
    assert len(refused) > 0
    assert len(model_calls(stack, words)) == 1
    assert len(await charges(database, organization)) == 1
    assert await faults_of(database, organization) == []


async def test_the_sdk_waits_for_a_request_that_is_in_progress(stack: Stack, organization: Organization) -> None:
    """It retries by itself after a 409, when Retry-After says."""
    words, headers = new_words("Slowly tell me of"), {"Idempotency-Key": new_key()}

    async def complete(client: AsyncOpenAI) -> str | None:
        completion = await client.chat.completions.create(
            model="junis-orchestrator", messages=[{"role": "user", "content": words}], extra_headers=headers
        )
        return completion.choices[0].message.content

    async with AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key=organization.api_key, max_retries=20) as client:
        first, second = await asyncio.gather(complete(client), complete(client))

    assert first == second
    assert len(model_calls(stack, words)) == 1


async def test_only_one_of_many_simultaneous_retries_is_queued(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    model = "simulator/image--fail-1"
    await factories.price_models(database, model)
    made = (await ask(client, f"Please make {model} of a mast", new_key())).json()["generated_content"][0]
    assert made["status"] == "failed"
    headers = {"Idempotency-Key": new_key()}

    responses = await asyncio.gather(*(client.post(f"/content/{made['id']}/retry", headers=headers) for _ in range(20)))
    late = await client.post(f"/content/{made['id']}/retry", headers=headers)
    other_key = await client.post(f"/content/{made['id']}/retry", headers={"Idempotency-Key": new_key()})

    assert [response.status_code for response in responses] == [200] * 20
    assert {response.content for response in (*responses, late)} == {responses[0].content}
    assert responses[0].json()["message"] == "Content generation retry queued (attempt 1/3)"
    assert sum("Idempotent-Replayed" not in response.headers for response in responses) == 1
    assert late.headers["Idempotent-Replayed"] == "true"
    assert other_key.status_code == 400
    assert (await client.get(f"/content/{made['id']}")).json()["retry_count"] == 1


async def test_a_key_used_for_one_content_is_refused_for_another(client: httpx.AsyncClient, database: Database) -> None:
    model = "simulator/image--fail-1"
    await factories.price_models(database, model)
    first, second = [
        (await ask(client, f"Please make {model} of a {thing}", new_key())).json()["generated_content"][0]["id"]
        for thing in ("sail", "oar")
    ]
    headers = {"Idempotency-Key": new_key()}

    accepted = await client.post(f"/content/{first}/retry", headers=headers)
    refused = await client.post(f"/content/{second}/retry", headers=headers)

    assert accepted.status_code == 200
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "idempotency_key_reused"
