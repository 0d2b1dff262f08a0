"""What must be true when everything has ended: each check returns a sentence for everything that is not."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from app.core.database import Database
from app.verification.service import find_faults
from chaos.asking import Asked
from chaos.plan import Plan, Request
from chaos.plant import Plant
from chaos.stored import check_store
from chaos.vendor import Vendor, attempt_of

Row = Mapping[str, Any]

_ENDED = ("completed", "failed")
_ENDED_AT_VENDOR = ("succeeded", "failed", "canceled", "aborted")
# After one of these the prediction has no usable output; everything else that the vendor does must be survived.
_FATAL = frozenset({"fail", "fail-transient-e1000", "aborted", "canceled", "data-removed", "delivery-404"})

_CONTENTS = """
SELECT id::text, prompt, status, retry_count, prediction_id, error_message
FROM generations ORDER BY created_at, id
"""
_HELD = "SELECT reference FROM credit_holds WHERE state = 'open' ORDER BY reference"


async def find_violations(plant: Plant, database: Database, plan: Plan, asked: Asked) -> list[str]:
    """Everything that is not as promised; an empty list is the proof of the run."""
    async with httpx.AsyncClient() as http:
        vendor = await Vendor.read(http, plant.simulator_url)
        async with database.transaction() as tx:
            contents = [dict(row) for row in await tx.fetch(_CONTENTS)]
        return [
            *check_requests(contents, plan.requests, asked.never_accepted),
            *check_answers(asked.answers),
            *check_ends(contents, asked.accepted),
            *await _check_books(database),
            *check_runs(vendor),
            *check_predictions(vendor, contents),
            *check_failures(vendor, contents),
            *await check_store(plant.objects, database, vendor, http),
        ]


def check_requests(
    contents: Sequence[Row], requests: Sequence[Request], never_accepted: Sequence[Request]
) -> list[str]:
    """Every request was accepted and has a content. Contents have their prompt."""
    prompts = {row["prompt"] for row in contents}
    return [
        *(f"request {request.number}: never accepted" for request in never_accepted),
        *(
            f"request {request.number}, by {request.way}: no content"
            for request in requests
            if request.prompt not in prompts and request not in never_accepted
        ),
    ]


def check_answers(answers: Mapping[str, int]) -> list[str]:
    """No response was a 500, whatever was away. Answers are counted by way and status."""
    return [f"{answer}: {count} times" for answer, count in answers.items() if answer.endswith(": 500")]


def check_ends(contents: Sequence[Row], accepted: Sequence[str]) -> list[str]:
    """What was accepted has ended. Contents have id, status, retry_count, prediction_id and error_message."""
    known = {row["id"] for row in contents}
    lost = [
        f"content {content_id}: accepted, but no longer known" for content_id in accepted if content_id not in known
    ]
    return lost + [
        f"content {row['id']}, attempt {row['retry_count']}: still {row['status']}"
        for row in contents
        if row["status"] not in _ENDED
    ]


async def _check_books(database: Database) -> list[str]:
    """The ledger is right, and no hold is open."""
    async with database.transaction() as tx:
        faults = await find_faults(tx)
    async with database.transaction() as tx:
        held = await tx.fetch(_HELD)
    return faults + [f"{row['reference']}: still held" for row in held]


def check_runs(vendor: Vendor) -> list[str]:
    """Nothing runs any more, and no more than one prediction of each attempt was left running."""
    running = [
        f"prediction {prediction['id']}: still {prediction['status']}"
        for prediction in vendor.predictions
        if prediction["status"] not in _ENDED_AT_VENDOR
    ]
    ran = Counter(attempt_of(prediction) for prediction in vendor.predictions if prediction["id"] not in vendor.stopped)
    return running + [
        f"content {content_id}, attempt {attempt}: {count} predictions ran"
        for (content_id, attempt), count in ran.items()
        if count > 1
    ]


def check_predictions(vendor: Vendor, contents: Sequence[Row]) -> list[str]:
    """Each content has the prediction that was made for its last attempt."""
    attempts = {prediction["id"]: attempt_of(prediction) for prediction in vendor.predictions}
    return [
        f"content {row['id']}, attempt {row['retry_count']}: its prediction {row['prediction_id']} belongs to another"
        for row in contents
        if row["prediction_id"] and attempts.get(row["prediction_id"]) != (row["id"], row["retry_count"])
    ]


def check_failures(vendor: Vendor, contents: Sequence[Row]) -> list[str]:
    """Nothing has failed except for a fault of the vendor that nobody could have survived."""
    faults: dict[tuple[str, int], set[str]] = defaultdict(set)
    for creation in vendor.creations:
        faults[attempt_of(creation)].update(creation["faults"])
    return [
        f"content {row['id']}, attempt {row['retry_count']}: failed without a reason: {row['error_message']}"
        for row in contents
        if row["status"] == "failed" and _FATAL.isdisjoint(faults[row["id"], row["retry_count"]])
    ]
