"""Runs with an Idempotency-Key whose client has disconnected, or whose process seems dead."""

import asyncio
import json
import secrets
from contextlib import AsyncExitStack

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.books import charges, faults_of, open_holds, until_ended
from tests.faults.conftest import Replicas
from tests.idempotency.asking import (
    IN_PROGRESS,
    ask,
    ask_until_answered,
    content_of,
    make_organization_with,
    model_calls,
    new_key,
    new_words,
)
from tests.rate_limits.making import make_plan
from tests.rate_limits.responses import until_status


@pytest.mark.parametrize("fate", ["it ends well", "it fails"])
async def test_only_the_run_that_holds_the_key_is_charged(
    stack: Stack, replicas: Replicas, database: Database, fate: str
) -> None:
    model = f"sim-chat-{secrets.token_hex(4)}"
    organization = await make_organization_with(database, model)
    words, key = new_words(), new_key()
    async with (
        httpx.AsyncClient(base_url=replicas.base_url(0), headers=organization.headers, timeout=60) as client,
        httpx.AsyncClient(base_url=replicas.base_url(1), headers=organization.headers, timeout=60) as other_process,
    ):
        replicas.chat_models.hold_next()
        losing = asyncio.create_task(ask(client, words, key, stream=True))
        await replicas.chat_models.wait_until_held()
        in_progress = await ask(other_process, words, key, stream=True)
        other_body = await ask(other_process, f"{words}!", key, stream=True)

        await let_the_lease_run_out(database, organization)
        taking = await ask(other_process, words, key, stream=True)
        if fate == "it fails":
            stack.simulator.order_fault(model, "error-frame-3")
        replicas.chat_models.let_pass()
        lost = await losing
        repeated = await ask(client, words, key, stream=True)

    assert in_progress.json()["error"] == IN_PROGRESS
    assert other_body.json()["error"]["code"] == "idempotency_key_reused"
    assert lost.status_code == taking.status_code == 200
    assert ('"error"' in lost.text) == (fate == "it fails")
    # The second run holds the key: its response is stored, and only it is charged.
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert id_of(repeated) == id_of(taking) != id_of(lost)
    assert len(await charges(database, organization)) == 1
    assert await open_holds(database, organization) == []
    assert await faults_of(database, organization) == []


async def test_of_100_concurrent_requests_to_three_processes_one_runs(
    stack: Stack, replicas: Replicas, database: Database, organization: Organization
) -> None:
    words, key = new_words("Slowly tell me of"), new_key()
    async with AsyncExitStack() as opened:
        clients = [
            await opened.enter_async_context(
                httpx.AsyncClient(base_url=replicas.base_url(number), headers=organization.headers, timeout=60)
            )
            for number in range(3)
        ]
        responses = await asyncio.gather(*(ask(clients[number % 3], words, key) for number in range(100)))
        late = [await ask_until_answered(client, words, key) for client in clients]

    answered = [response for response in responses if response.status_code == 200]
    assert {response.content for response in (*answered, *late)} == {late[0].content}
    assert words in content_of(late[0])
    refusals = [response.json()["error"] for response in responses if response.status_code != 200]
    assert refusals == [IN_PROGRESS] * (100 - len(answered))
    assert len(model_calls(stack, words)) == 1
    assert len(await charges(database, organization)) == 1
    assert await faults_of(database, organization) == []


async def test_a_run_whose_client_has_disconnected_keeps_its_slot_until_it_ends(
    replicas: Replicas, database: Database
) -> None:
    plan = await make_plan(database, concurrent=1)
    organization = await factories.make_organization(database, plan=plan)
    async with httpx.AsyncClient(base_url=replicas.base_url(0), headers=organization.headers, timeout=60) as client:
        replicas.chat_models.hold_next()
        asking = asyncio.create_task(ask(client, new_words(), new_key()))
        await replicas.chat_models.wait_until_held()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        meanwhile = [await client.get("/credits") for _ in range(50)]
        replicas.chat_models.let_pass()
        await until_ended(database, organization)
        afterwards = await until_status(client, "/credits", 200)

    assert {response.status_code for response in meanwhile} == {429}
    assert meanwhile[-1].json()["error"]["code"] == "concurrency_limit_exceeded"
    assert afterwards.json()["held"] == 0
    assert len(await charges(database, organization)) == 1


async def let_the_lease_run_out(database: Database, organization: Organization) -> None:
    """Let the lease expire, as if its process had been frozen for a minute."""
    async with database.transaction() as tx:
        for table in ("user_idempotency_keys", "idempotency_keys"):
            await tx.execute(
                f"UPDATE {table} SET lease_until = lease_until - interval '60 seconds' WHERE organization_id = $1",
                organization.id,
            )


def id_of(streamed: httpx.Response) -> str:
    """The id in the chunks of the stream."""
    first = next(line for line in streamed.text.splitlines() if line.startswith("data: "))
    return str(json.loads(first.removeprefix("data: "))["id"])
