"""How many series each panel of the dashboard has after some minutes of load: `make observe-load` prints the table.

Prometheus asks every second here, so that a rate over a minute has as many samples as one over 15 minutes elsewhere.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.observe import catalogue
from tests.observe.load import load
from tests.observe.observed import Observed
from tests.observe.prometheus import Prometheus, running_prometheus
from tests.waiting import until

LOAD_SECONDS = 180.0


async def series_by_panel(prometheus: Prometheus) -> Mapping[str, list[int]]:
    """By the panel's title, how many series each of its queries has."""
    found: dict[str, list[int]] = {}
    for title, query in catalogue.panels():
        found.setdefault(title, []).append(len(await prometheus.query(query)))
    return found


@pytest.mark.timeout(900)
async def test_every_panel_has_series_after_minutes_of_load(observed: Observed, run_folder: Path) -> None:
    async with running_prometheus(run_folder / "prometheus-long", observed) as prometheus:
        await until(lambda: prometheus.query('count(up{job=~"junis-.*"} == 1) == 2'))
        loading, began = asyncio.create_task(load(observed)), time.monotonic()
        try:
            while time.monotonic() < began + LOAD_SECONDS and not loading.done():
                await asyncio.wait({loading}, timeout=5)
            panels = await series_by_panel(prometheus)
            alerts = [rule for rule in await prometheus.rules() if rule.get("lastError")]
        finally:
            loading.cancel()
            await asyncio.wait({loading})

    lines = [f"| {title} | {len(counts)} | {' + '.join(map(str, counts))} |" for title, counts in panels.items()]
    print("\n| panel | queries | series |\n|---|---|---|", *lines, sep="\n")  # noqa: T201 - what the run is for
    assert {title for title, counts in panels.items() if not all(counts)} == set()
    assert alerts == []
