"""An upgrade of a large database while the version before serves requests, and the way back. Only with `FULL=1`.

`ROWS` is how many generations the database has; the other large tables have as many rows, or a part of that.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from devstack import product
from devstack.programs import Program
from devstack.servers import EmbeddedServers
from tests import programs
from tests.upgrades import older
from tests.upgrades.rows import fill
from tests.upgrades.traffic import CHAT, traffic
from tests.vendors_simulator import VendorsSimulator
from tests.waiting import until

pytestmark = pytest.mark.timeout(3600)

ROWS = int(os.environ.get("ROWS", "1000000"))
_LONGEST_WAIT_SECONDS = 1.0
# How long requests are watched before and after the upgrade.
_WATCHED_SECONDS = 5.0
_LOOK_SECONDS = 0.05
# Requests with a key that arrive at both versions.
_ROUNDS = 20
_LIMITS = ("--requests-per-minute", "100000", "--concurrent-requests", "1000", "--concurrent-generations", "1000")
# The version before works as it did: its own tests of what clients use.
_TESTS = (
    "tests/end_to_end",
    "tests/content",
    "tests/sessions",
    "tests/credits",
    "tests/idempotency",
    "tests/chat/test_client_tools.py",
    "tests/chat/test_repeats.py",
    "tests/worker/test_endings.py",
    "tests/worker/test_duplicates.py",
    "tests/worker/test_delivery.py",
    # A constraint that 0013 replaces by a wider one.
    "-k",
    "not charged_within_amount",
)


@dataclass(frozen=True)
class Site:
    """An installation of the version before, with many rows."""

    older: Path
    settings: dict[str, str]
    folder: Path
    key: str


@pytest.fixture(scope="module")
async def site(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("upgrade")
    checkout = older.check_out(folder / "older")
    with EmbeddedServers(folder / "servers", durable=False) as servers:
        settings = environment | {
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "LOCAL_STORAGE_DIR": str(folder / "objects"),
        }
        older.junis(checkout, settings, folder, "migrate")
        key = json.loads(older.junis(checkout, settings, folder, "demo"))["api_key"]
        older.junis(checkout, settings, folder, "plans", "set", "pro", *_LIMITS)
        began = time.monotonic()
        counts = await fill(servers.database_url, ROWS)
        print(f"\nfilled in {time.monotonic() - began:.0f} s: {counts}")  # noqa: T201 - the figures are the result
        yield Site(checkout, settings, folder, key)


async def completed(program: Program) -> float:
    """Run a program to its end, which must be a success, without blocking the event loop; returns the seconds."""
    began = time.monotonic()
    running = program.launch()
    # With so many rows it may take longer than `until` has patience.
    while running.poll() is None:  # noqa: ASYNC110 - another process ends
        await asyncio.sleep(_LOOK_SECONDS)
    assert running.returncode == 0, program.log.read_text()[-4000:]
    return time.monotonic() - began


async def work_on(api: programs.Api, key: str) -> dict[str, Any]:
    """Ask an API for a picture; returns its content once it is completed."""
    async with httpx.AsyncClient(base_url=api.base_url, headers={"X-API-Key": key}, timeout=60) as client:
        body = {"messages": [{"role": "user", "content": "Please make simulator/image of a lighthouse"}]}
        chat = (await client.post(CHAT, json=body)).raise_for_status().json()
        (made,) = chat["generated_content"]
        detail: dict[str, Any] = {}

        async def is_completed() -> bool:
            detail.update((await client.get(f"/content/{made['id']}")).raise_for_status().json())
            return bool(detail["status"] == "completed")

        await until(is_completed)
        (await client.get(detail["storage_url"])).raise_for_status()
    return detail


async def test_an_upgrade_makes_nobody_wait(site: Site) -> None:
    api = older.api(site.older, site.settings, site.folder / "older-api.log")
    worker = older.worker(site.older, site.settings, site.folder / "older-worker.log")
    migration = programs.migration(site.settings, site.folder / "migrate.log")
    with ExitStack() as running:
        for program in (api.program, worker):
            running.enter_context(program.serving())
        async with traffic(api.base_url, site.key, site.settings["DATABASE_URL"]) as seen:
            await asyncio.sleep(_WATCHED_SECONDS)
            began = time.monotonic()
            seconds = await completed(migration)
            ended = time.monotonic()
            await asyncio.sleep(_WATCHED_SECONDS)
        print(f"\nmigrated in {seconds:.1f} s\n{seen.report(began, ended)}\n{migration.log.read_text()}")  # noqa: T201 - the figures are what this test is run for

    assert seen.failures == []
    assert seen.longest_wait[0] < _LONGEST_WAIT_SECONDS, seen.longest_wait


async def test_then_this_version_serves_and_the_books_are_right(site: Site) -> None:
    api = programs.api_process(site.settings, site.folder / "api.log")
    worker = product.worker(product.isolated(site.settings), site.folder / "worker.log", folder=site.folder)
    with api.program.serving(), worker.serving():
        assert (await work_on(api, site.key))["retry_count"] == 0

    verified = Program(
        "verify", ("-m", "app.cli", "verify-ledger"), product.isolated(site.settings), site.folder / "verify.log"
    )
    await completed(verified)


def as_both_tell_it(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without the details of its usage: the version before does not repeat those of this one."""
    usage = {name: count for name, count in answer["usage"].items() if not name.endswith("_details")}
    return {**answer, "usage": usage}


async def test_a_key_that_arrives_at_both_versions_runs_once(site: Site, vendors: VendorsSimulator) -> None:
    """As while replicas roll: whichever comes first runs, and the others wait for its response."""
    versions = [
        older.api(site.older, site.settings, site.folder / "older-api-beside.log"),
        programs.api_process(site.settings, site.folder / "api-beside.log"),
    ]
    async with programs.running_apis(*versions), httpx.AsyncClient(timeout=60) as client:

        async def ask(api: programs.Api, key: str) -> httpx.Response:
            headers = {"X-API-Key": site.key, "Idempotency-Key": key}
            while True:
                body = {"messages": [{"role": "user", "content": f"Tell me of {key}"}]}
                response = await client.post(f"{api.base_url}{CHAT}", json=body, headers=headers)
                if response.status_code != 409:
                    return response.raise_for_status()

        for number in range(_ROUNDS):
            key = f"both-{number}"
            at_once = [ask(versions[place], key) for place in (0, 1, 0, 1)]
            responses = await asyncio.gather(*(at_once if number % 2 else at_once[::-1]))
            answers = [as_both_tell_it(response.json()) for response in responses]
            assert answers == [answers[0]] * len(answers)

    asked = [entry["request"]["messages"][-1]["content"] for entry in vendors.log("chat")]
    ran = [words for words in asked if str(words).startswith("Tell me of both-")]
    assert sorted(ran) == sorted(f"Tell me of both-{number}" for number in range(_ROUNDS))


async def test_the_version_before_serves_again_on_the_newer_schema(site: Site) -> None:
    api = older.api(site.older, site.settings, site.folder / "older-api-again.log")
    worker = older.worker(site.older, site.settings, site.folder / "older-worker-again.log")
    with api.program.serving(), worker.serving():
        assert (await work_on(api, site.key))["retry_count"] == 0
    assert "up to date" in migrated_by_older(site)


def migrated_by_older(site: Site) -> str:
    """What the older `migrate` says of the newer schema: nothing is to be done."""
    older.junis(site.older, site.settings, site.folder, "migrate", "--check")
    return "up to date"


def test_the_tests_of_the_version_before_pass_on_the_newer_schema(site: Site) -> None:
    printed = older.run_tests(site.older, *_TESTS)

    print(f"\n{printed[-600:]}")  # noqa: T201 - the figures are what this test is run for
