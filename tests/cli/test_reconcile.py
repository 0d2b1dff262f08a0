"""`junis reconcile` against a vendor that has run predictions, and the usage of an upstream as a file."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.predictions.replicate import ReplicateClient
from tests.cli.conftest import Junis
from tests.cli.databases import execute
from tests.vendors_simulator import VendorsSimulator, vendors_simulator

_TOKEN = "r8_the_token_of_the_tests"
_MODEL = "simulator/image"
_CATALOG = """
[[models]]
name = "simulator/image"
kind = "generation"
price = { per_second = 0.001, ceiling = 1 }

[[models]]
name = "chat"
kind = "chat"
max_output_tokens = 10
upstream_model = "gpt"
price = { per_million_prompt_tokens = 1, per_million_completion_tokens = 1 }
"""
_GENERATION = """
INSERT INTO generations (id, organization_id, user_id, model, input, prompt, price_id, max_retries, file_token, status,
                         retry_count, deadline_at, failures, is_parked, webhook_nonce, prediction_id, content_type,
                         error_message, credit_cost, completed_at)
SELECT '{content}', m.organization_id, m.user_id, 'simulator/image', '{{}}', '', p.id, 3, '{content}', '{status}',
       0, now(), 0, false, 'nonce', {prediction}, CASE WHEN '{status}' = 'completed' THEN 'image' END,
       CASE WHEN '{status}' = 'failed' THEN 'x' END,
       CASE WHEN '{status}' <> 'processing' THEN 0 END, CASE WHEN '{status}' <> 'processing' THEN now() END
FROM memberships m, prices p WHERE p.model_name = 'simulator/image'
"""
_ATTEMPT = """
INSERT INTO attempts (generation_id, number, organization_id, prediction_id, started_at, ended_at, ending)
SELECT id, 0, organization_id, prediction_id, now() - interval '1 hour', completed_at,
       CASE WHEN completed_at IS NOT NULL THEN status END
FROM generations WHERE id = '{content}'
"""
_CHARGE = """
INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated, description)
SELECT organization_id, 'charge', 'generation:' || id || ':0', 0, 0, false, '' FROM generations WHERE id = '{content}'
"""
_EVENT = """
INSERT INTO metering_events (organization_id, hold_reference, call_id, kind, price_id, predict_time, outputs,
                             is_estimated, cost)
SELECT organization_id, 'generation:' || id || ':0', 'generation:' || id || ':0', 'generation', price_id, {seconds},
       1, false, 0 FROM generations WHERE id = '{content}'
"""
_LOST_CALL = """
INSERT INTO create_calls (generation_id, attempt, claim, result, ended_at) VALUES ('{content}', 0, 1, 'lost', now())
"""
_CALL = """
INSERT INTO metering_events (organization_id, hold_reference, call_id, kind, price_id, prompt_tokens, completion_tokens,
                             is_estimated, cost, ended_at)
SELECT o.id, 'turn', '{call}', 'model_call', p.id, {prompt}, {completion}, false, 0, '{ended}'
FROM organizations o, prices p WHERE p.model_name = 'chat'
"""


@pytest.fixture(scope="session")
def vendor() -> Iterator[VendorsSimulator]:
    with vendors_simulator() as simulator:
        yield simulator


@pytest.fixture
def books(
    vendor: VendorsSimulator,
    database_url: str,
    acme: str,
    junis: Junis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The URL of a database with prices; the settings name the vendor, which has run nothing."""
    vendor.reset()
    monkeypatch.setenv("REPLICATE_BASE_URL", vendor.replicate_url)
    monkeypatch.setenv("REPLICATE_API_TOKEN", _TOKEN)
    (tmp_path / "catalog.toml").write_text(_CATALOG)
    assert junis("catalog", "import", str(tmp_path / "catalog.toml")).status == 0
    return database_url


def content_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def run_predictions(vendor: VendorsSimulator, *webhooks: str | None) -> list[str]:
    """The ids of new predictions with these webhooks, which have all ended."""

    async def run() -> list[str]:
        client = ReplicateClient(vendor.replicate_url, _TOKEN)
        created = [
            await client.create(model=_MODEL, input={"prompt": "x"}, webhook=webhook, cancel_after=600)
            for webhook in webhooks
        ]
        await client.close()
        return [prediction.id for prediction in created]

    ids = asyncio.run(run())
    vendor.skip(60)
    return ids


def predict_times(vendor: VendorsSimulator, ids: list[str]) -> list[Any]:
    async def read() -> list[Any]:
        client = ReplicateClient(vendor.replicate_url, _TOKEN)
        times = [(await client.get(prediction_id)).predict_time for prediction_id in ids]
        await client.close()
        return times

    return asyncio.run(read())


def plant(url: str, number: int, *statements: str, **names: object) -> None:
    for statement in statements:
        execute(url, statement.format(content=content_id(number), **names))


def rows_of(text: str) -> list[Mapping[str, Any]]:
    parsed: list[Mapping[str, Any]] = json.loads(text)
    return parsed


def test_what_the_vendor_ran_and_what_was_charged_are_compared(
    books: str, vendor: VendorsSimulator, junis: Junis
) -> None:
    again = f"http://127.0.0.1:9/webhooks/replicate/{content_id(1)}/0/nonce"
    ids = run_predictions(vendor, None, None, None, None, again, None, None)
    charged, failed, longer, running, repeated, lost, foreign = ids
    seconds = predict_times(vendor, ids)[0]
    generation = (_GENERATION, _ATTEMPT)
    plant(books, 1, *generation, _CHARGE, _EVENT, prediction=f"'{charged}'", status="completed", seconds=seconds)
    plant(books, 2, *generation, prediction=f"'{failed}'", status="failed")
    plant(books, 3, *generation, _CHARGE, _EVENT, prediction=f"'{longer}'", status="completed", seconds=99)
    plant(books, 4, *generation, prediction=f"'{running}'", status="processing")
    plant(books, 5, *generation, _LOST_CALL, prediction="NULL", status="failed")
    plant(books, 6, *generation, _CHARGE, _EVENT, prediction="'gone'", status="completed", seconds=1)

    printed = junis("reconcile", "predictions", "--json")
    everything = junis("reconcile", "predictions", "--json", "--all")
    accepted = junis("reconcile", "predictions", "--tolerance", "5")

    found = {(row["difference"], row["prediction_id"], row["content_id"]) for row in rows_of(printed.stdout)}
    assert found == {
        ("not_charged", failed, content_id(2)),
        ("other_time", longer, content_id(3)),
        ("not_charged", repeated, content_id(1)),
        ("lost", lost, content_id(5)),
        ("not_listed", "gone", content_id(6)),
    }
    assert (printed.status, printed.stderr) == (1, "error: Differences: 5\n")
    assert [row["prediction_id"] for row in rows_of(everything.stdout) if row["difference"] == "foreign"] == [foreign]
    assert all(row["predict_time"] for row in rows_of(printed.stdout) if row["difference"] != "not_listed")
    assert (accepted.status, accepted.stderr) == (0, "Differences: 5\n")
    assert accepted.stdout.splitlines()[0].split()[:2] == ["DIFFERENCE", "PREDICTION"]


def test_generations_of_before_there_were_attempts_are_compared_too(
    books: str, vendor: VendorsSimulator, junis: Junis
) -> None:
    charged, failed = run_predictions(vendor, None, None)
    plant(books, 1, _GENERATION, _CHARGE, prediction=f"'{charged}'", status="completed")
    plant(books, 2, _GENERATION, prediction=f"'{failed}'", status="failed")

    found = rows_of(junis("reconcile", "predictions", "--json").stdout)

    assert [(row["difference"], row["prediction_id"]) for row in found] == [("not_charged", failed)]


def test_only_the_time_that_is_asked_for_is_compared(books: str, vendor: VendorsSimulator, junis: Junis) -> None:
    (failed,) = run_predictions(vendor, None)
    plant(books, 1, _GENERATION, _ATTEMPT, prediction=f"'{failed}'", status="failed")

    assert junis("reconcile", "predictions", "--since", "2h").status == 1
    assert junis("reconcile", "predictions", "--since", "2h", "--until", "1h").status == 0


def test_a_vendor_that_cannot_be_reached_is_told(books: str, junis: Junis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_BASE_URL", "http://127.0.0.1:9")

    refused = junis("reconcile", "predictions")

    assert (refused.status, refused.stderr.count("\n")) == (1, 1)
    assert re.match(r"error: The model provider at 127\.0\.0\.1:\d+ could not be reached: ", refused.stderr)


def test_an_upstreams_usage_is_compared_by_day_and_model(books: str, junis: Junis, tmp_path: Path) -> None:
    for number, ended in enumerate(["2026-11-27 23:59:59+00", "2026-11-28 00:00:01+00", "2026-11-29 00:30:00+02"]):
        execute(books, _CALL.format(call=f"turn:{number}", prompt=100, completion=10, ended=ended))
    execute(books, _CALL.format(call="turn:free", prompt="NULL", completion="NULL", ended="2026-11-28 12:00:00+00"))
    file = tmp_path / "usage.csv"
    file.write_text(
        "date,model,input,output,requests\n2026-11-27,gpt,100,10,1\n2026-11-28,gpt,200,20,3\n2026-11-28,unknown,7,0,1\n"
    )
    options = ["--day-column", "date", "--prompt-column", "input", "--completion-column", "output"]

    printed = junis("reconcile", "usage", str(file), *options, "--requests-column", "requests", "--json")
    without_requests = junis("reconcile", "usage", str(file), *options)
    elsewhere = junis("reconcile", "usage", str(file), *options, "--upstream", "other", "--json")

    named = [
        (row["day"], row["model"], row["billed_requests"], row["metered_requests"]) for row in rows_of(printed.stdout)
    ]
    assert named == [("2026-11-28", "gpt", 3, 2), ("2026-11-28", "unknown", 1, 0)]
    assert (printed.status, printed.stderr) == (1, "error: Differences: 2\n")
    assert [line.split()[:2] for line in without_requests.stdout.splitlines()[1:]] == [["2026-11-28", "unknown"]]
    assert [row["metered_prompt_tokens"] for row in rows_of(elsewhere.stdout)] == [0, 0, 0]


def test_usage_within_the_tolerance_is_right(books: str, junis: Junis, tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    execute(books, _CALL.format(call="turn:1", prompt=1000, completion=10, ended=f"{today} 12:00+00"))
    file = tmp_path / "usage.csv"
    file.write_text(f"day,model,prompt_tokens,completion_tokens\n{today},gpt,1010,10\n")

    right = junis("reconcile", "usage", str(file))
    wrong = junis("reconcile", "usage", str(file), "--tolerance", "0.5")

    assert (right.status, right.stderr) == (0, "Differences: 0\n")
    assert wrong.status == 1


def test_a_file_that_is_no_usage_is_refused_in_words(books: str, junis: Junis, tmp_path: Path) -> None:
    (tmp_path / "usage.csv").write_text("day,model\n")

    refused = junis("reconcile", "usage", str(tmp_path / "usage.csv"))

    assert refused.stderr == "error: The file has no column prompt_tokens, completion_tokens\n"
