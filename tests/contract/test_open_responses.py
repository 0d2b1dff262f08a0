"""The suite of Open Responses against the server."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.conftest import Stack


async def test_the_suite_of_open_responses_passes(stack: Stack, database: Database) -> None:
    host = await make_host(database)
    command = [
        str(Path(sys.executable).with_name("llm-comply")),
        *("run", "--json", f"--base-url={stack.base_url}/v1", f"--api-key={host.headers['X-API-Key']}"),
        "--model=junis-orchestrator",
    ]

    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    results = json.loads(ran.stdout)["results"]
    outcomes = {result["id"]: result["status"] for result in results}
    # Its models with reasoning have names that no agent here has.
    assert {name for name, outcome in outcomes.items() if outcome != "passed"} == {"reasoning-summary"}
    assert len(outcomes) > 10
