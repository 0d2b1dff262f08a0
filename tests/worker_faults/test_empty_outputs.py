"""An output without a byte is no output: nothing is completed with it, and nothing charged.

No worker runs at this site: the tests take its steps themselves.
"""

import json
import uuid

from tests.core.sites import settings_of
from tests.worker.manual_worker import open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.hosts import answering

_MODEL = "simulator/image"


async def test_a_file_that_comes_empty_is_fetched_again(site: dict[str, str], workbench: Workbench) -> None:
    answers = [b"", b"words"]

    async def answer(_path: str) -> bytes:
        return answers.pop(0)

    async with answering(answer) as host, open_manual_worker(settings_of({**site, "OUTPUT_HOSTS": host})) as worker:
        asked = await ask_ended(workbench, f"http://{host}/file.txt")

        await worker.copy(asked)
        interrupted = await workbench.row(asked)
        await workbench.let_lease_run_out(asked)
        await worker.copy(asked)

    assert (interrupted.status, interrupted.failures) == ("processing", 1)
    assert (await workbench.row(asked)).status == "completed"
    assert [await workbench.stored(path) for path in await workbench.objects(asked)] == [b"words"]
    assert len(await workbench.charges(asked)) == 1


async def test_an_empty_file_within_the_answer_fails(site: dict[str, str], workbench: Workbench) -> None:
    asked = await ask_ended(workbench, "data:image/png;base64,")

    async with open_manual_worker(settings_of(site)) as worker:
        await worker.copy(asked)

    row = await workbench.row(asked)
    assert (row.status, row.error_message) == ("failed", "The output could not be copied: the output is empty")
    assert await workbench.charges(asked) == []
    assert await workbench.held(asked) == 0


async def ask_ended(workbench: Workbench, output: str) -> str:
    """A content that the vendor has ended with this output."""
    asked = await workbench.ask(_MODEL)
    async with workbench.resources.database.transaction() as tx:
        await tx.execute(
            "UPDATE generations SET status = 'processing', started_at = now(), due_at = now(), outcome = $2"
            " WHERE id = $1",
            uuid.UUID(asked),
            json.dumps({"output": output, "predict_time": None}),
        )
    return asked
