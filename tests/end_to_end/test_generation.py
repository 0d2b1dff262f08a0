"""The whole way of a generation: an OpenAI client asks for it, and finds it stored, charged and listed."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.books import charges
from tests.waiting import PATIENCE

LIST_FIELDS = [
    "id",
    "content_type",
    "status",
    "prompt",
    "replicate_version",
    "output_url",
    "storage_url",
    "error_message",
    "processing_time_ms",
    "credit_cost",
    "created_at",
    "completed_at",
]
DETAIL_FIELDS = [
    "id",
    "organization_id",
    "user_id",
    "content_type",
    "status",
    "prompt",
    "replicate_version",
    "replicate_prediction_id",
    "replicate_input",
    "output_url",
    "storage_path",
    "storage_url",
    "error_message",
    "retry_count",
    "max_retries",
    "credit_cost",
    "processing_time_ms",
    "created_at",
    "started_at",
    "completed_at",
]


@pytest.fixture
async def openai(stack: Stack, organization: Organization) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key=organization.api_key, max_retries=0) as opened:
        yield opened


async def ask(openai: AsyncOpenAI, words: str) -> Any:
    """The generation that the orchestrator requested because of these words."""
    completion = await openai.chat.completions.create(
        model="junis-orchestrator", messages=[{"role": "user", "content": words}]
    )
    (made,) = completion.model_extra["generated_content"]  # type: ignore[index]  # what this server adds
    return made


@pytest.mark.parametrize(
    ("model", "content_type", "media_type", "magic"),
    [
        ("simulator/image", "image", "image/png", b"\x89PNG\r\n\x1a\n"),
        ("simulator/video", "video", "video/mp4", b"ftyp"),
        ("simulator/audio", "audio", "audio/wav", b"RIFF"),
        ("simulator/glb", "glb", "model/gltf-binary", b"glTF"),
        ("simulator/text", "other", "text/plain", b""),
        ("simulator/json", "other", "application/json", b"{"),
    ],
)
async def test_a_generation_is_stored_charged_and_listed(
    stack: Stack,
    database: Database,
    organization: Organization,
    client: httpx.AsyncClient,
    openai: AsyncOpenAI,
    model: str,
    content_type: str,
    media_type: str,
    magic: bytes,
) -> None:
    made = await ask(openai, f"Please make {model} of a lighthouse at dusk")

    detail = (await client.get(f"/content/{made['id']}")).raise_for_status().json()
    assert made == {name: detail[name] for name in ("id", "status", "content_type", "storage_url")}
    assert list(detail) == DETAIL_FIELDS
    assert detail["status"] == "completed"
    assert detail["content_type"] == content_type
    assert detail["replicate_version"] == model
    assert detail["organization_id"] == organization.id
    assert detail["user_id"] == organization.user_id
    assert detail["replicate_input"]["prompt"] == detail["prompt"]
    assert (detail["retry_count"], detail["max_retries"], detail["error_message"]) == (0, 3, None)

    stored = (await client.get(detail["storage_url"])).raise_for_status()
    assert stored.headers["content-type"].partition(";")[0] == media_type
    assert magic in stored.content[:12]
    assert (stack.objects / detail["storage_path"]).read_bytes() == stored.content
    if detail["output_url"]:
        assert (await client.get(detail["output_url"])).content == stored.content

    charged = await charges(database, organization)
    assert charged[f"generation:{made['id']}:0"] == Decimal(str(detail["credit_cost"]))
    balance = await factories.balance_of(database, organization)
    assert balance.held == 0
    assert balance.balance == 100 - sum(charged.values())

    (listed,) = (await client.get("/content")).raise_for_status().json()["items"]
    assert list(listed) == LIST_FIELDS
    assert listed == {name: detail[name] for name in LIST_FIELDS}


async def test_several_outputs_are_all_stored_and_charged(
    client: httpx.AsyncClient, openai: AsyncOpenAI, organization: Organization, database: Database
) -> None:
    made = await ask(openai, "Please make 3 images of a cat with simulator/image")

    detail = (await client.get(f"/content/{made['id']}")).raise_for_status().json()
    further = detail["additional_outputs"]
    assert list(detail) == [*DETAIL_FIELDS, "additional_outputs"]
    assert [output["storage_path"] for output in further] == [
        detail["storage_path"].replace(".png", f"_{number}.png") for number in (2, 3)
    ]
    bodies = [(await client.get(output["storage_url"])).raise_for_status().content for output in (detail, *further)]
    assert len({hashlib.sha256(body).digest() for body in bodies}) == 3
    assert detail["credit_cost"] == 0.009
    assert (await charges(database, organization))[f"generation:{made['id']}:0"] == Decimal("0.009")


async def test_the_documented_path_is_made_of_id_and_time(client: httpx.AsyncClient, openai: AsyncOpenAI) -> None:
    made = await ask(openai, "Please make simulator/image of a dog")

    detail = (await client.get(f"/content/{made['id']}")).raise_for_status().json()
    moment = datetime.fromisoformat(detail["created_at"]).strftime("%Y%m%d_%H%M%S")
    assert detail["storage_path"] == f"generation/image/{made['id'][:8]}_{moment}.png"


async def test_a_failure_costs_nothing_keeps_its_reason_and_can_be_retried(
    stack: Stack,
    client: httpx.AsyncClient,
    openai: AsyncOpenAI,
    organization: Organization,
    database: Database,
) -> None:
    model = "simulator/image--fail-1"
    await factories.price_models(database, model, ceiling="0.5")
    made = await ask(openai, f"Please make {model} of a fox")
    failed = (await client.get(f"/content/{made['id']}")).raise_for_status().json()
    assert (failed["status"], failed["credit_cost"], failed["content_type"]) == ("failed", 0, None)
    assert "simulated" in failed["error_message"]
    assert (await factories.balance_of(database, organization)).held == 0
    assert f"generation:{made['id']}:0" not in await charges(database, organization)

    queued = (await client.post(f"/content/{made['id']}/retry")).raise_for_status().json()

    assert queued == {
        "success": True,
        "message": "Content generation retry queued (attempt 1/3)",
        "generation_id": made["id"],
    }
    ended = await until_ended(client, made["id"])
    assert (ended["status"], ended["retry_count"]) == ("completed", 1)
    assert ended["storage_path"].endswith("_r1.png")
    assert ended["replicate_input"] == failed["replicate_input"]
    assert ended["replicate_prediction_id"] != failed["replicate_prediction_id"]
    assert (await charges(database, organization))[f"generation:{made['id']}:1"] == Decimal("0.05")
    refused = await client.post(f"/content/{made['id']}/retry")
    assert refused.status_code == 400
    assert refused.json() == {
        "detail": "Cannot retry content with status 'completed'. Only failed content can be retried."
    }


async def test_retries_end_at_their_maximum(client: httpx.AsyncClient, openai: AsyncOpenAI, database: Database) -> None:
    await factories.price_models(database, "simulator/image--fail")
    made = await ask(openai, "Please make simulator/image--fail of a wolf")

    for attempt in (1, 2, 3):
        queued = (await client.post(f"/content/{made['id']}/retry")).raise_for_status()
        assert queued.json()["message"] == f"Content generation retry queued (attempt {attempt}/3)"
        assert (await until_ended(client, made["id"]))["status"] == "failed"

    refused = await client.post(f"/content/{made['id']}/retry")
    assert refused.status_code == 400
    assert refused.json() == {"detail": "Maximum retry attempts (3) reached for this content."}


async def test_the_agent_gets_an_error_for_an_unpriced_model_at_no_cost(
    client: httpx.AsyncClient, openai: AsyncOpenAI, database: Database, organization: Organization
) -> None:
    unknown = f"nobody/knows-{secrets.token_hex(4)}"
    completion = await openai.chat.completions.create(
        model="junis-orchestrator",
        messages=[{"role": "user", "content": f"Please make a picture with {unknown} of a hat"}],
    )

    assert f"There is no model {unknown}" in (completion.choices[0].message.content or "")
    assert (await client.get("/content")).json()["total"] == 0
    assert all(reference.startswith("turn:") for reference in await charges(database, organization))


async def test_the_delivery_host_never_gets_the_vendors_token(stack: Stack, openai: AsyncOpenAI) -> None:
    made = await ask(openai, "Please make simulator/image of a key")

    assert made["status"] == "completed"
    deliveries = stack.simulator.log("delivery")
    assert deliveries
    assert not any(entry["authorization_seen"] for entry in deliveries)


async def until_ended(client: httpx.AsyncClient, content_id: str) -> dict[str, Any]:
    """The content's detail once it has ended, read in the way that the documentation describes."""
    async with asyncio.timeout(PATIENCE):
        while True:
            detail: dict[str, Any] = (await client.get(f"/content/{content_id}")).raise_for_status().json()
            if detail["status"] in {"completed", "failed"}:
                return detail
            await asyncio.sleep(0.1)
