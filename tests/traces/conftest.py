from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.core.sites import new_site
from tests.traces.collector import Seen
from tests.traces.product import WEBHOOK_SECRET, Traced, traced_product
from tests.vendors_simulator import VendorsSimulator, vendors_simulator


@pytest.fixture(scope="package")
def signing_vendors() -> Iterator[VendorsSimulator]:
    with vendors_simulator("--seed", "1", "--webhook-secret", WEBHOOK_SECRET) as opened:
        yield opened


@pytest.fixture(scope="package")
async def traced(
    environment: dict[str, str], signing_vendors: VendorsSimulator, run_folder: Path
) -> AsyncIterator[Traced]:
    site = await new_site(environment, run_folder, redis_number=11)
    async with traced_product(site, signing_vendors, run_folder) as running:
        yield running


@pytest.fixture(scope="package")
async def trace(traced: Traced) -> list[Seen]:
    """The trace of a streamed turn whose agent has had a picture made."""
    return await traced.draw()
