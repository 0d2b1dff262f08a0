"""Requesting generations for the benches, and reading from the database what became of them."""

import argparse
import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from app.generations import service as generations
from app.generations.service import GenerationPolicy, GenerationRequest
from app.resources import Resources, open_resources
from bench.figures import Figure, report
from chaos import organizations
from chaos.organizations import Organization
from chaos.plant import Plant, running_plant

WORKER = "worker-1"
# The vendor's limits are not to be measured.
UNLIMITED = {"REPLICATE_CREATES_PER_MINUTE": "1000000", "REPLICATE_READS_PER_MINUTE": "1000000"}

_PER_TRANSACTION = 50
_LOOK_SECONDS = 0.25
_PATIENCE_SECONDS = 1800


def run_bench(
    measure: Callable[[Plant, int], AsyncIterator[Figure]], *, name: str, about: str | None, count: int, counted: str
) -> int:
    """Read the command line, measure on servers of its own, and print each figure.

    Args:
        measure: Yields the figures, given the running product and a number.
        name: The name of the bench.
        about: What it measures.
        count: The default number.
        counted: What is counted by it.

    Returns:
        The exit code of the program: 1 if a requirement is missed.
    """
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=about)
    parser.add_argument("--count", type=int, default=count, help=f"{counted} ({count})")
    wanted = parser.parse_args().count
    with (
        tempfile.TemporaryDirectory() as folder,
        running_plant(Path(folder), simulator=["--prerender"], settings=UNLIMITED) as plant,
    ):
        return asyncio.run(report(measure(plant, wanted)))


@asynccontextmanager
async def open_organizations(
    plant: Plant, *models: str, count: int, concurrent_generations: int
) -> AsyncIterator[tuple[Resources, list[Organization]]]:
    """So many organizations with one plan, prices for these models, and the resources to request generations with."""
    async with open_resources(plant.settings) as resources:
        await organizations.set_prices(resources.database, *models)
        await organizations.set_plan(resources.database, concurrent_generations=concurrent_generations)
        names = [f"org-{number}" for number in range(count)]
        yield resources, [await organizations.make_organization(resources.database, name) for name in names]


async def ask(resources: Resources, asking: Sequence[Organization], model: str, count: int) -> list[uuid.UUID]:
    """Request so many generations, by each organization in turn."""
    ids: list[uuid.UUID] = []
    for first in range(0, count, _PER_TRANSACTION):
        organization = asking[first // _PER_TRANSACTION % len(asking)]
        async with resources.database.transaction() as tx:
            for number in range(first, min(first + _PER_TRANSACTION, count)):
                request = _request(organization, model, f"a lighthouse, number {number}")
                asked = await generations.request_generation(
                    tx, resources.queue, GenerationPolicy.of(resources.settings), request
                )
                ids.append(asked.id)
    return ids


async def wait_until(resources: Resources, condition: str, count: int, *, look_seconds: float = _LOOK_SECONDS) -> None:
    """Wait until this SQL is true of so many generations.

    Raises:
        TimeoutError: It takes far too long.
    """
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await _count(resources, condition) < count:  # noqa: ASYNC110 - other processes do it
            await asyncio.sleep(look_seconds)


async def start_delays(resources: Resources, ids: Sequence[uuid.UUID]) -> list[float]:
    """Milliseconds from each request to the moment at which a worker claimed it."""
    async with resources.database.transaction() as tx:
        rows = await tx.fetch("SELECT created_at, started_at FROM generations WHERE id = ANY($1)", ids)
    return [1000 * (row["started_at"] - row["created_at"]).total_seconds() for row in rows]


async def check_none_failed(resources: Resources) -> None:
    """Check that no generation failed: failing is fast, and would falsify the figures.

    Raises:
        RuntimeError: A generation failed.
    """
    if failed := await _count(resources, "status = 'failed'"):
        raise RuntimeError(f"{failed} generations failed")


async def _count(resources: Resources, condition: str) -> int:
    async with resources.database.transaction() as tx:
        # The conditions are the benches' own.
        count: int = await tx.fetchval(f"SELECT count(*) FROM generations WHERE {condition}")  # noqa: S608 - a constant of ours
    return count


def _request(organization: Organization, model: str, prompt: str) -> GenerationRequest:
    return GenerationRequest(
        organization_id=organization.id,
        user_id=organization.user_id,
        session_id=None,
        turn_id=None,
        model=model,
        input={"prompt": prompt},
    )
