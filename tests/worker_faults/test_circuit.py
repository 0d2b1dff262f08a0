"""The vendor refuses the operator's account: no generation fails, the state is shown, and work goes on afterwards."""

import re
from pathlib import Path

import httpx
import pytest

from app.generations.models import Generation
from devstack.ports import free_port
from tests import programs
from tests.core.sites import settings_of
from tests.worker.manual_worker import open_manual_worker
from tests.worker.workbench import Workbench


async def test_generations_wait_for_a_token_that_works(
    site: dict[str, str], workbench: Workbench, run_folder: Path
) -> None:
    port = free_port()
    refused = {**site, "REPLICATE_API_TOKEN": "revoked", "METRICS_TOKEN": "figures", "WORKER_METRICS_PORT": str(port)}
    with (
        programs.running_worker(refused, run_folder / "circuit-worker.log"),
        programs.running_api(refused, run_folder / "circuit-api.log") as url,
    ):
        asked = [await workbench.ask("simulator/image") for _ in range(3)]
        for content_id in asked:
            await workbench.until(content_id, is_postponed)
        async with httpx.AsyncClient() as client:
            ready = await client.get(f"{url}/readyz")
            figures = await client.get(f"{url}/metrics", headers={"Authorization": "Bearer figures"})
            of_worker = await client.get(f"http://127.0.0.1:{port}/metrics")

    assert ready.status_code == 200
    assert ready.json()["vendor"] == "denied"
    assert "junis_vendor_is_denied 1.0" in figures.text
    assert re.search(r"^junis_vendor_denials_total [1-9]", of_worker.text, re.MULTILINE)
    await check_waiting(workbench, *asked)

    with programs.running_worker(site, run_folder / "circuit-worker.log"):
        ended = [await workbench.until_ended(content_id) for content_id in asked]

    assert [row.status for row in ended] == ["completed"] * 3
    assert [await workbench.creations(content_id) for content_id in asked] == [[201]] * 3
    assert [await workbench.held(content_id) for content_id in asked] == [0] * 3


@pytest.mark.parametrize("token", ["unpaid", "revoked"])
async def test_a_start_that_is_refused_waits(site: dict[str, str], workbench: Workbench, token: str) -> None:
    asked = await workbench.ask("simulator/image")

    async with open_manual_worker(settings_of({**site, "REPLICATE_API_TOKEN": token})) as worker:
        await worker.start(asked)
        denial = await worker.resources.vendor_budget.denial()

    await check_waiting(workbench, asked)
    assert denial is not None


async def test_while_the_account_is_refused_the_vendor_is_not_called_again(
    site: dict[str, str], workbench: Workbench
) -> None:
    """After one refusal the following starts wait; none of them calls the vendor in vain."""
    first = await workbench.ask("simulator/image--create-402-1")
    later = await workbench.ask("simulator/image")

    async with open_manual_worker(settings_of({**site, "REPLICATE_API_TOKEN": "of-an-account-in-arrears"})) as worker:
        await worker.start(first)
        await worker.start(later)

    assert await workbench.creations(first) == [402]
    await check_waiting(workbench, first)
    # The vendor would have accepted this one.
    assert await workbench.creations(later) == []
    await check_waiting(workbench, later)


async def check_waiting(workbench: Workbench, *content_ids: str) -> None:
    """Check that each is to be started again later, and that its credits are still held."""
    for content_id in content_ids:
        assert is_postponed(await workbench.row(content_id))
        assert await workbench.held(content_id) > 0


def is_postponed(content: Generation) -> bool:
    """Whether its start has been postponed."""
    return content.status == "pending" and content.due_at > content.created_at
