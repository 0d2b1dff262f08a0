"""Every command and example of the README, run as written."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.database import Database
from devstack.credentials import Credentials, write_quickstart_file
from devstack.servers import EmbeddedServers
from tests.cli.databases import execute, sibling
from tests.conftest import Stack
from tests.docs.files import ROOT, block, blocks
from tests.factories import Organization, price_models
from tests.waiting import PATIENCE

README_URL = "http://127.0.0.1:8000"
# The model that the simulated assistant uses for pictures if the user names none.
PAINTER = "black-forest-labs/flux-schnell"
# The shell handles the quoting; this function prints the arguments that `curl` would get.
CURL = """curl() { python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@"; }\n"""


@pytest.fixture
async def quickstarted(tmp_path: Path, stack: Stack, database: Database, organization: Organization) -> Path:
    """A folder as `make quickstart` leaves it, for the running stack."""
    await price_models(database, PAINTER)
    (tmp_path / ".data").mkdir()
    credentials = Credentials(organization.api_key, "ada@acme.example", "unused")
    write_quickstart_file(tmp_path / ".data/quickstart.json", stack.url, credentials)
    return tmp_path


def run(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """The output of the command, with the programs of this environment first in PATH."""
    programs = Path(sys.executable).parent
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**(environment or {}), "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def request_of(arguments: list[str], url: str) -> httpx.Request:
    """The request that curl would make with these arguments, sent to another server."""
    given = iter(arguments)
    headers, body, address = {}, None, ""
    for argument in given:
        match argument:
            case "-s":
                pass
            case "-H":
                name, _, value = next(given).partition(": ")
                headers[name] = value
            case "-d":
                body = next(given)
            case _:
                address = argument.replace(README_URL, url)
    return httpx.Request("POST" if body else "GET", address, headers=headers, content=body)


async def until_ended(client: httpx.AsyncClient, url: str, headers: httpx.Headers) -> dict[str, Any]:
    """Wait for the content to end; returns it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            detail: dict[str, Any] = (await client.get(url, headers={"X-API-Key": headers["x-api-key"]})).json()
            if detail["status"] in {"completed", "failed"}:
                return detail
            await asyncio.sleep(0.1)


def test_every_block_of_the_readme_is_tested() -> None:
    marks = [found.info for found in blocks("README.md")]

    assert sorted(marks) == ["python", "sh compose", "sh curl", "sh junis", "sh make", "sh make", "text"]


async def test_the_curl_example_draws_a_picture(stack: Stack, quickstarted: Path) -> None:
    script = CURL + block("README.md", "sh curl")
    arguments = json.loads(run(["sh", "-euc", script], quickstarted))

    async with httpx.AsyncClient(timeout=60) as client:
        request = request_of(arguments, stack.url)
        response = await client.send(request)

        assert response.status_code == 200
        (made,) = response.json()["generated_content"]
        detail = await until_ended(client, f"{stack.base_url}/content/{made['id']}", request.headers)
        assert (detail["status"], detail["content_type"]) == ("completed", "image")
        assert (await client.get(detail["storage_url"])).headers["content-type"].startswith("image/")


async def test_the_openai_example_prints_the_answer(quickstarted: Path) -> None:
    printed = run([sys.executable, "-c", block("README.md", "python")], quickstarted)

    # On a slow machine the assistant may have answered before the picture was there.
    assert re.search(r'"status":"(pending|processing|completed)"', printed)


def test_the_operators_commands_make_a_key(tmp_path: Path, embedded: EmbeddedServers) -> None:
    execute(embedded.database_url, "CREATE DATABASE readme")
    environment = {"DATABASE_URL": sibling(embedded.database_url, "readme")}

    printed = run(["sh", "-euc", block("README.md", "sh junis")], tmp_path, environment)

    assert re.search(r"^jns_live_\w{32}$", printed, re.MULTILINE)
    assert printed.splitlines()[-1].split() == ["25", "0", "25"]


def test_the_make_targets_in_the_readme_exist() -> None:
    """`.ci/run` really runs them."""
    lines = [line for found in blocks("README.md") if found.info == "sh make" for line in found.code.splitlines()]
    wanted = [line for line in lines if line.startswith("make ")]

    assert wanted == ["make quickstart", "make test", "make check"]
    for line in wanted:
        run([*shlex.split(line), "--dry-run"], ROOT)


def test_compose_is_started_by_two_commands() -> None:
    """`make deployment` really runs them."""
    assert block("README.md", "sh compose").splitlines() == ["sh deploy/make_env.sh", "docker compose up -d --wait"]
    assert (ROOT / "deploy/make_env.sh").is_file()
    assert (ROOT / "docker-compose.yml").is_file()
