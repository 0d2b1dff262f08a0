"""Prometheus watches a product at work: every query of the dashboard has series, every alert can be computed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.observe import catalogue
from tests.observe.load import load
from tests.observe.observed import Observed
from tests.observe.prometheus import Prometheus, is_installed, running_prometheus
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
