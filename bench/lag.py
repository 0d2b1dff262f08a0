"""How long a request can hold the event loop of the API process, whatever its body is, and how much memory it takes."""

import argparse
import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx

from app.resources import open_resources
from bench.figures import Figure, peak_megabytes, report
from bench.generations import UNLIMITED
from bench.hostile_bodies import LARGEST, SHAPES, Shape, long_history, sent_again
from chaos import organizations
from chaos.plant import Plant, running_plant
from devstack import product
from devstack.ports import free_port
from devstack.programs import Program

MOST_MILLISECONDS = 50
MOST_MEGABYTES = 1000
_AT_ONCE = 20
_PATH = "/api/external/v1/chat/completions"
_PAUSE_SECONDS = 0.01


async def measure(plant: Plant, only: str) -> AsyncIterator[Figure]:
    """Send each shape alone, then the worst of memory many times at once."""
    key = await _prepare(plant)
    with _metered_api(plant) as (api, url):
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=300) as http:
            await http.get("/_lag")
            for name, bodies in _bodies(only):
                async for figure in _of_shape(http, api, name, bodies):
                    yield figure
            if not only:
                yield await _of_many(http, api)


async def _prepare(plant: Plant) -> str:
    async with open_resources(plant.settings) as resources:
        await organizations.set_prices(resources.database)
        await organizations.set_plan(resources.database, concurrent_generations=1)
        return (await organizations.make_organization(resources.database, "org-1")).api_key


@contextmanager
def _metered_api(plant: Plant) -> Iterator[tuple[Program, str]]:
    origin = f"http://127.0.0.1:{free_port()}"
    environment = product.isolated({**plant.environment, "PUBLIC_URL": origin})
    api = product.api(environment, plant.folder / "lag.log", origin=origin, folder=plant.folder)
    api.arguments = ("-m", "bench.metered", *api.arguments[3:])
    with api.serving():
        yield api, origin


def _bodies(only: str) -> Iterator[tuple[str, Callable[[], list[bytes]]]]:
    for name, shape in SHAPES.items():
        if only in name:
            yield name, partial(_alone, shape)
    if only in "late results":
        yield "late results", long_history
    if only in "sent again":
        yield "sent again", sent_again


def _alone(shape: Shape) -> list[bytes]:
    return [shape(LARGEST)]


async def _of_shape(
    http: httpx.AsyncClient, api: Program, name: str, bodies: Callable[[], list[bytes]]
) -> AsyncIterator[Figure]:
    *before, body = bodies()
    for each in before:
        await http.post(_PATH, content=each)
    _forget_peak(api.pid)
    await http.get("/_lag")
    with _second_client(str(http.base_url)) as waits:
        response = await http.post(_PATH, content=body)
        await asyncio.sleep(_PAUSE_SECONDS * 3)
    lag = (await http.get("/_lag")).json()
    label = f"lag.{name.replace(' ', '_')} ({len(body) / 1e6:.1f} MB, {response.status_code})"
    yield Figure(f"{label}.loop", lag["longest"] * 1000, "ms", at_most=MOST_MILLISECONDS)
    yield Figure(f"{label}.others_wait", max(waits) * 1000, "ms")
    yield Figure(f"{label}.memory", peak_megabytes(api.pid), "MB")


async def _of_many(http: httpx.AsyncClient, api: Program) -> Figure:
    _forget_peak(api.pid)
    shapes = [SHAPES[name] for name in ("wide text", "image", "escaped letters", "objects at the limit")]
    bodies = [shapes[number % len(shapes)](LARGEST) for number in range(_AT_ONCE)]
    with _second_client(str(http.base_url)) as waits:
        await asyncio.gather(*(http.post(_PATH, content=body) for body in bodies))
    print(
        f"lag.{_AT_ONCE}_at_once.others_wait: {max(waits) * 1000:.1f} ms, {statistics.median(waits) * 1000:.1f} at p50"
    )
    return Figure(f"lag.{_AT_ONCE}_at_once.memory", peak_megabytes(api.pid), "MB", at_most=MOST_MEGABYTES)


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@contextmanager
def _second_client(url: str) -> Iterator[list[float]]:
    """Seconds that another client waits for each response of `/healthz` during the block."""
    waits: list[float] = []
    is_over = threading.Event()

    def ask() -> None:
        connection = HTTPConnection(url.removeprefix("http://").rstrip("/"), timeout=120)
        while not is_over.is_set():
            began = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            waits.append(time.perf_counter() - began)
            time.sleep(_PAUSE_SECONDS)
        connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield waits
    finally:
        is_over.set()
        asking.join()


def main() -> int:
    """Read the command line, measure on servers of its own, and print each figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.lag", description=__doc__)
    parser.add_argument("--only", default="", help="shapes whose name has this text in it")
    only = parser.parse_args().only
    settings: dict[str, Any] = dict(UNLIMITED)
    with tempfile.TemporaryDirectory() as folder, running_plant(Path(folder), simulator=[], settings=settings) as plant:
        return asyncio.run(report(measure(plant, only)))


if __name__ == "__main__":
    sys.exit(main())
