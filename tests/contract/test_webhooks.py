"""Webhooks as the reference library for Node verifies them. That for Python is used wherever tests receive any."""

import base64
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.contract.environments import Node
from tests.contract.runs import run_program
from tests.webhook_endpoints.receiver import Receiver, receiving

# The first test waits for Node's packages to be installed.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def test_what_is_sent_is_verified_by_either_secret_and_by_no_other(
    client: httpx.AsyncClient, receiver: Receiver, node: Node, node_folder: Path
) -> None:
    endpoint = {"url": receiver.url, "events": ["credits.low"], "description": "Größe 📐"}
    made = (await client.post("/webhooks/endpoints", json=endpoint)).raise_for_status().json()
    path = f"/webhooks/endpoints/{made['id']}"
    rotated = (await client.post(f"{path}/rotate-secret")).raise_for_status().json()
    (await client.post(f"{path}/test")).raise_for_status()
    (got,) = await receiver.until_got(1)

    wrong = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    shown = {"headers": got.headers, "body": got.body.decode()}
    cases = [{"secret": secret, **shown} for secret in (made["secret"], rotated["secret"], wrong)]
    changed = {**shown, "secret": made["secret"], "body": f"{shown['body']} "}
    printed = run_program(
        [node.program, node_folder / "webhooks_node" / "verify.mjs"], node_folder, json.dumps([*cases, changed])
    )

    assert json.loads(printed) == ["webhook.test"] * 2 + ["WebhookVerificationError"] * 2
