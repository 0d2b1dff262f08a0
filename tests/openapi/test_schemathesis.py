"""The API holds against its own document: schemathesis sends what the document allows, and what it forbids."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.conftest import Stack

HERE = Path(__file__).parent
IS_FULL = bool(os.environ.get("FULL"))
EXAMPLES = 500 if IS_FULL else 8


async def test_every_response_is_as_documented(stack: Stack, database: Database, http: httpx.AsyncClient) -> None:
    organization = await make_host(database)
    listed = (await http.get("/agents", headers=organization.headers)).raise_for_status().json()["agents"]
    environment = {**os.environ, "AGENT_ID": listed[0]["id"]}
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={HERE / 'schemathesis.toml'}",
        "run",
        f"{stack.url}/openapi.json",
        f"--header=X-API-Key: {organization.headers['X-API-Key']}",
        f"--max-examples={EXAMPLES}",
        "--checks=all",
        "--continue-on-failure",
        "--no-color",
        "--seed=1",
    ]
    ran = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, cwd=stack.folder, env=environment
    )

    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
