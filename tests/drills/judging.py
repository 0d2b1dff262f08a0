"""What must be true after a drill: nothing that was promised is lost, and nothing is charged twice."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import httpx

from app.verification.service import find_faults
from tests.drills.outcomes import Outcome
from tests.drills.product import Product
from tests.waiting import until

_OPEN = "SELECT count(*) FROM credit_holds WHERE state = 'open'"
_UNENDED = "SELECT count(*) FROM generations WHERE status NOT IN ('completed', 'failed')"
_EXPIRE = """
UPDATE credit_holds SET expires_at = now() - interval '1 second' WHERE state = 'open' AND expires_at IS NOT NULL
"""
_SETTLED_SECONDS = 20.0
# Of two minutes each. An attempt whose start was lost begins again after its lease.
_MOST_WAITS = 3
_CHARGED = """
SELECT s.public_id AS marker, split_part(e.reference, ':', 1) AS kind, count(*) AS charges
FROM ledger_entries e JOIN sessions s ON s.id = e.session_id WHERE e.kind = 'charge' GROUP BY 1, 2
"""
_ANSWERS = """
SELECT s.public_id AS marker, array_agg(m.content #>> '{}') AS answers
FROM messages m JOIN sessions s ON s.id = m.session_id
WHERE m.role = 'assistant' AND m.tool_calls IS NULL AND m.content IS NOT NULL GROUP BY 1
"""
_CONTENTS = "SELECT id::text AS id, status, output_url, error_message FROM generations"
_OBJECTS = "SELECT generation_id::text AS id, size_bytes, sha256 FROM outputs WHERE sha256 IS NOT NULL"
_FILES = "SELECT id::text AS id, file_token FROM generations WHERE status = 'completed'"
_BALANCES = """
SELECT a.organization_id FROM credit_accounts a WHERE a.balance <>
(SELECT coalesce(sum(amount), 0) FROM ledger_entries e WHERE e.organization_id = a.organization_id)
"""


@dataclass(frozen=True)
class Books:
    """What Postgres says after a drill, by the marker of a request's conversation."""

    charges: dict[str, int]
    answers: dict[str, list[str]]
    statuses: Counter[str]
    contents: frozenset[str]
    faults: list[str]


async def let_lost_turns_expire(product: Product) -> None:
    """Have the holds end whose turns nobody knows to have ended, as if their half hour were over."""
    # Those of turns that are still being stored are no such ones.
    await asyncio.sleep(_SETTLED_SECONDS)
    async with product.database.transaction() as tx:
        await tx.execute(_EXPIRE)


async def closed_books(product: Product) -> Books:
    """The books, once all that was begun has ended."""

    async def is_quiet() -> bool:
        return not (await product.database.fetchval(_OPEN) or await product.database.fetchval(_UNENDED))

    for _ in range(_MOST_WAITS):
        with suppress(TimeoutError):
            await until(is_quiet)
            break
    assert await is_quiet()
    fetch = product.database.fetch
    async with product.database.transaction() as tx:
        faults = await find_faults(tx)
    faults += [f"{row[0]}: the balance is not the sum of its ledger" for row in await fetch(_BALANCES)]
    contents = await fetch(_CONTENTS)
    return Books(
        {f"{row['marker']} {row['kind']}": row["charges"] for row in await fetch(_CHARGED)},
        {row["marker"]: row["answers"] for row in await fetch(_ANSWERS)},
        Counter(row["status"] for row in contents),
        frozenset(row["id"] for row in contents),
        faults,
    )


def lost_of(books: Books, outcomes: Sequence[Outcome]) -> list[str]:
    """What clients were given, and the books do not know: charges, answers, contents."""
    lost = []
    for outcome in outcomes:
        if not outcome.is_good or outcome.kind == "credits":
            continue
        if f"{outcome.marker} turn" not in books.charges:
            lost.append(f"{outcome.marker}: not charged")
        if outcome.text not in books.answers.get(outcome.marker, ()):
            lost.append(f"{outcome.marker}: its answer is not stored")
        lost += [
            f"{outcome.marker}: {content} is unknown" for content in outcome.contents if content not in books.contents
        ]
    return lost


def check_books(books: Books) -> None:
    """Check that the ledger is right, and that no request was charged twice."""
    assert books.faults == []
    # A conversation has one turn, and a turn one generation at most.
    assert {marker: charges for marker, charges in books.charges.items() if charges > 1} == {}


def check_kept(books: Books, outcomes: Sequence[Outcome]) -> None:
    """Check that all that clients were given is there: charged, stored and known."""
    assert lost_of(books, outcomes) == []
    # What was refused may be charged all the same, if the client was told not to repeat it or was cut off.
    repeated = {outcome.marker for outcome in outcomes if outcome.kind == "keyed" and outcome.is_good}
    assert {outcome.marker for outcome in outcomes if outcome.kind == "keyed"} == repeated


async def check_objects(product: Product) -> int:
    """Check that every stored file is served as it was when it was copied. Returns how many there are."""
    wanted = {row["id"]: (row["size_bytes"], row["sha256"]) for row in await product.database.fetch(_OBJECTS)}
    listed = await product.database.fetch(_CONTENTS)
    completed = [row["id"] for row in listed if row["status"] == "completed"]
    async with httpx.AsyncClient(
        base_url=product.base_urls[0], headers=product.organization.headers, timeout=60, follow_redirects=True
    ) as http:
        for content_id in completed:
            shown = (await http.get(f"/content/{content_id}")).raise_for_status().json()
            file = (await http.get(shown["storage_url"])).raise_for_status().content
            assert (len(file), hashlib.sha256(file).hexdigest()) == wanted[content_id], content_id
    return len(completed)
