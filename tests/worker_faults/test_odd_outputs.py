"""Whatever JSON the vendor answers, the attempt ends, and no other attempt and no page of contents suffers from it.

No worker runs at this site: the tests run its steps themselves, and the vendor is a server that says what they want.
"""

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from tests.chat_models.raw_server import Connection, raw_server, response
from tests.core.sites import settings_of
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.hosts import answering

_MODEL = "simulator/image"
_WORDS = '"words"'
# Enough for the poller to read the vendor's list.
_MANY = 32

UNSTORABLE = {
    "a number too large for a float": '{"seed": %s, "a": "words"}' % ("1" * 400),
    "a number too large for Python": '{"seed": %s}' % ("1" * 5000),
    "1500 levels": "[" * 1500 + _WORDS + "]" * 1500,
    "1500 levels of objects": '{"a":' * 1500 + _WORDS + "}" * 1500,
    "300 levels": "[" * 300 + _WORDS + "]" * 300,
    "100000 levels": "[" * 100_000 + _WORDS + "]" * 100_000,
}
STORABLE = {
    "150 levels": "[" * 150 + _WORDS + "]" * 150,
    "NUL, surrogates and odd numbers": r'{"a": "\u0000\ud800", "b": [1e400, NaN, 1180591620717411303424]}',
    "a key twice": '{"a": 1, "a": "words"}',
}


def prediction(prediction_id: str, output: str) -> str:
    return (
        f'{{"id": "{prediction_id}", "status": "succeeded", "created_at": "{datetime.now(UTC).isoformat()}",'
        f' "metrics": {{"predict_time": 0.5}}, "output": {output}}}'
    )


@asynccontextmanager
async def vendor(site: dict[str, str], outputs: Mapping[str, str]) -> AsyncIterator[ManualWorker]:
    """A worker whose vendor has finished these predictions: the JSON texts of their outputs, by their ids."""

    async def respond(connection: Connection, request: bytes) -> None:
        path = request.split()[1].decode().partition("?")[0]
        asked = path.rpartition("/")[2]
        listed = ", ".join(prediction(each, output) for each, output in outputs.items())
        body = prediction(asked, outputs[asked]) if asked in outputs else f'{{"results": [{listed}], "next": null}}'
        await connection.send(response(body.encode(), headers=b"Content-Type: application/json\r\n"))

    async with raw_server(respond) as server:
        settings = settings_of({**site, "REPLICATE_BASE_URL": server.url})
        async with open_manual_worker(settings) as worker:
            await worker.resources.redis.flushdb()
            yield worker


async def ask_running(workbench: Workbench) -> tuple[str, str]:
    """A content whose prediction runs, and the id of the prediction."""
    asked, prediction_id = await workbench.ask(_MODEL), uuid.uuid4().hex
    async with workbench.resources.database.transaction() as tx:
        await tx.execute(
            "UPDATE generations SET status = 'processing', started_at = now(), due_at = now(), prediction_id = $2"
            " WHERE id = $1",
            uuid.UUID(asked),
            prediction_id,
        )
    return asked, prediction_id


@pytest.mark.parametrize("output", UNSTORABLE.values(), ids=UNSTORABLE)
async def test_an_output_that_cannot_be_stored_fails_at_no_cost(
    site: dict[str, str], workbench: Workbench, output: str
) -> None:
    asked, prediction_id = await ask_running(workbench)

    async with vendor(site, {prediction_id: output}) as worker:
        await worker.steps.poll.run()

    row = await workbench.row(asked)
    assert row.status == "failed"
    assert (row.error_message or "").startswith("The prediction succeeded, but its output ")
    assert await workbench.charges(asked) == []
    assert await workbench.held(asked) == 0


@pytest.mark.parametrize("output", STORABLE.values(), ids=STORABLE)
async def test_an_odd_output_is_stored_as_a_file(site: dict[str, str], workbench: Workbench, output: str) -> None:
    asked, prediction_id = await ask_running(workbench)

    async with vendor(site, {prediction_id: output}) as worker:
        await worker.steps.poll.run()
        await worker.copy(asked)

    row = await workbench.row(asked)
    assert (row.status, row.content_type) == ("completed", "other")
    (path,) = await workbench.reserved(asked)
    json.loads(await workbench.stored(path))


async def test_odd_outputs_do_not_take_the_others_of_the_list_with_them(
    site: dict[str, str], workbench: Workbench
) -> None:
    odd = [(await ask_running(workbench), output) for output in UNSTORABLE.values()]
    fine = [await ask_running(workbench) for _ in range(_MANY)]
    outputs = {prediction_id: output for (_, prediction_id), output in odd}

    async with vendor(site, {**outputs, **{prediction_id: _WORDS for _, prediction_id in fine}}) as worker:
        await worker.steps.poll.run()

    assert [(await workbench.row(asked)).status for (asked, _), _ in odd] == ["failed"] * len(odd)
    assert [(await workbench.row(asked)).outcome for asked, _ in fine] == [
        {"output": "words", "predict_time": "0.5"}
    ] * _MANY


async def test_an_outcome_that_postgres_refuses_does_not_take_the_others_with_it(
    site: dict[str, str], workbench: Workbench
) -> None:
    """Such as one of more than 256 MB. Here it is a trigger that refuses one."""
    (refused, bad), (accepted, good) = await ask_running(workbench), await ask_running(workbench)
    fine = [await ask_running(workbench) for _ in range(_MANY)]
    database = workbench.resources.database
    async with database.transaction() as tx:
        await tx.execute("""
            CREATE FUNCTION refuse_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'too large' USING ERRCODE = '54000'; END $$""")
        await tx.execute("""
            CREATE TRIGGER refuse BEFORE UPDATE ON generations FOR EACH ROW
            WHEN (NEW.outcome ->> 'output' = 'refused') EXECUTE FUNCTION refuse_outcome()""")

    outputs = {bad: '"refused"', good: _WORDS, **{prediction_id: _WORDS for _, prediction_id in fine}}
    async with vendor(site, outputs) as worker:
        await worker.steps.poll.run()
    async with database.transaction() as tx:
        await tx.execute("DROP TRIGGER refuse ON generations")

    assert (await workbench.row(refused)).outcome is None
    stored = [(await workbench.row(asked)).outcome for asked in (accepted, *(asked for asked, _ in fine))]
    assert stored == [{"output": "words", "predict_time": "0.5"}] * (_MANY + 1)


async def test_a_long_error_of_the_vendor_is_cut(site: dict[str, str], workbench: Workbench) -> None:
    """Lists show it in full."""
    asked, prediction_id = await ask_running(workbench)
    failed = f'null, "status": "failed", "error": "{"e" * 5_000_000}"'

    async with vendor(site, {prediction_id: failed}) as worker:
        await worker.steps.poll.run()

    row = await workbench.row(asked)
    assert (row.status, row.error_message) == ("failed", "e" * 10_000)


async def test_a_file_that_is_named_three_times_is_stored_and_charged_once(
    site: dict[str, str], workbench: Workbench
) -> None:
    async def answer(_path: str) -> bytes:
        return b"\x89PNG\r\n\x1a\n"

    asked, prediction_id = await ask_running(workbench)
    async with answering(answer) as host:
        url = f"http://{host}/a.png"
        output = json.dumps({"image": url, "images": [url, url]})
        async with vendor({**site, "OUTPUT_HOSTS": host}, {prediction_id: output}) as worker:
            await worker.steps.poll.run()
            await worker.copy(asked)

    row = await workbench.row(asked)
    assert (row.status, row.output_url) == ("completed", url)
    assert len(await workbench.objects(asked)) == 1
    assert await workbench.charges(asked) == [row.credit_cost]


@pytest.mark.parametrize("ending", ["completed", "failed"])
async def test_the_vendors_answer_is_cleared_when_the_attempt_ends(
    site: dict[str, str], workbench: Workbench, ending: str
) -> None:
    asked, prediction_id = await ask_running(workbench)
    output = _WORDS if ending == "completed" else '"data:image/png;base64,"'

    async with vendor(site, {prediction_id: output}) as worker:
        await worker.steps.poll.run()
        before = (await workbench.row(asked)).outcome
        await worker.copy(asked)

    row = await workbench.row(asked)
    assert before is not None
    assert (row.status, row.outcome) == (ending, None)


async def test_an_unreadable_outcome_of_an_older_version_fails_neither_its_batch_nor_a_page(
    site: dict[str, str], workbench: Workbench
) -> None:
    """An integer of 400 digits, which Postgres keeps and no reader takes."""
    odd, fine = [(await ask_running(workbench))[0] for _ in range(2)]
    database = workbench.resources.database
    for asked, text in (
        (odd, '{"output": {"n": %s}, "predict_time": null}' % ("1" * 400)),
        (fine, '{"output": "words", "predict_time": null}'),
    ):
        async with database.transaction() as tx:
            await tx.execute("UPDATE generations SET outcome = $2::text::jsonb WHERE id = $1", uuid.UUID(asked), text)

    async with open_manual_worker(settings_of(site)) as worker:
        await worker.copy(odd)
        await worker.copy(fine)

    assert [(await workbench.row(asked)).status for asked in (odd, fine)] == ["completed"] * 2
