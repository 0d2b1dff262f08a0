"""Prometheus watches a product at work: every query of the dashboard has series, every alert can be computed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import factories
from tests.agents.definitions import make_host
from tests.chat.asking import ask, ask_to_stream, open_http
from tests.observe import catalogue
from tests.observe.observed import Observed
from tests.observe.prometheus import Prometheus, is_installed, running_prometheus
from tests.signed_in import cookies_after_sign_in
from tests.waiting import until

ALWAYS = {"JunisApiDown", "JunisNoApi", "JunisNoWorker"}


@pytest.fixture(scope="module")
async def prometheus(observed: Observed, run_folder: Path) -> AsyncIterator[Prometheus]:
    if not is_installed():
        pytest.skip("prometheus is missing; Debian has it in the package prometheus")
    async with running_prometheus(run_folder / "prometheus", observed) as running:
        # A load before the first scrape would be seen as no change at all.
        await until(lambda: running.query('count(up{job=~"junis-.*"} == 1) == 2'))
        yield running


async def test_every_query_of_the_dashboard_has_series(observed: Observed, prometheus: Prometheus) -> None:
    loading = asyncio.create_task(load(observed))
    try:
        missing = await until_all_have_series(prometheus)
    finally:
        loading.cancel()
        await asyncio.wait({loading})

    assert not missing


async def until_all_have_series(prometheus: Prometheus) -> list[tuple[str, str]]:
    """The panels and queries without series; within a minute there should be none."""
    missing = list(catalogue.panels())
    for _ in range(60):
        missing = [(title, query) for title, query in missing if not await prometheus.query(query)]
        if not missing:
            break
        await asyncio.sleep(1)
    return missing


async def test_all_alerts_are_evaluated_and_the_product_is_not_taken_to_be_down(prometheus: Prometheus) -> None:
    rules = await until(prometheus.rules)

    assert {rule["name"] for rule in rules} == set(catalogue.alerts())
    assert {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")} == {}
    assert all(rule["state"] == "inactive" for rule in rules if rule["name"] in ALWAYS)


async def load(observed: Observed) -> None:
    """Use everything, again and again: chats, streams, generations, files, the console, and what fails."""
    organization = observed.organization
    failing = await make_host(observed.database, "sim-chat--status-500")
    poor = await factories.make_organization(observed.database, credit="0")
    cookies = await cookies_after_sign_in(observed.database, organization.user_id)
    async with (
        open_http(observed.api) as http,
        httpx.AsyncClient(base_url=f"{observed.api}/admin", cookies=cookies, timeout=60) as console,
    ):
        while True:
            await ask(http, organization, "Say something")
            await ask_to_stream(http, organization, "Tell me a story")
            await ask(http, organization, "Please make simulator/image of a lighthouse")
            await ask(http, failing, "count to 5")
            await ask(http, poor, "Hello")
            await look_at_files(http, organization.headers, observed)
            for page in ("/", "/usage", "/sessions", "/content"):
                await console.get(page)
            await http.post(f"{observed.api}/webhooks/replicate/a/0/c", json={"id": "p"})


async def look_at_files(http: httpx.AsyncClient, headers: dict[str, str], observed: Observed) -> None:
    """Read the newest file, and once more when the store has lost it."""
    items: list[dict[str, Any]] = (await http.get("/content", headers=headers)).json()["items"]
    for item in items[:1]:
        if item["status"] != "completed":
            continue
        detail = (await http.get(f"/content/{item['id']}", headers=headers)).json()
        await http.get(item["storage_url"])
        (observed.objects / detail["storage_path"]).unlink(missing_ok=True)
        await http.get(item["storage_url"])
