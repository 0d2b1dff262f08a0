"""Files that are larger than the operator allows are refused, whether they are URLs or inside the output."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import programs
from tests.vendors_simulator import VendorsSimulator
from tests.worker.workbench import Workbench, open_workbench
from tests.worker_faults.conftest import NewSite

_MOST_BYTES = 1000


@pytest.fixture(scope="module")
async def workbench(make_site: NewSite, vendors: VendorsSimulator, run_folder: Path) -> AsyncIterator[Workbench]:
    """An organization at a site that accepts only small files."""
    site = await make_site(MAX_OUTPUT_BYTES=str(_MOST_BYTES))
    with programs.running_worker(site, run_folder / "sizes-worker.log"):
        async with open_workbench(site, vendors) as opened:
            yield opened


@pytest.mark.parametrize("model", ["simulator/image", "simulator/image--output-data-url"])
async def test_a_file_that_is_too_large_is_not_kept(workbench: Workbench, model: str) -> None:
    asked = await workbench.ask(model)

    ended = await workbench.until_ended(asked)

    reason = f"the output is larger than {_MOST_BYTES} bytes"
    assert (ended.status, ended.error_message) == ("failed", f"The output could not be copied: {reason}")
    assert await workbench.charges(asked) == []
    assert await workbench.objects(asked) == []
