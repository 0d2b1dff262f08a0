"""Admits and ends turns: with one statement for all turns of an organization that do so at the same time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain

import asyncpg

from app.chat.turns import turn_statements
from app.chat_models.protocol import JsonObject
from app.core.attribution import Attribution
from app.core.json import storable_json
from app.core.statements import Statements
from app.credits.key_caps import heeding_caps
from app.credits.metering import MeteredUse
from app.idempotency.service import LEASE, LIFETIME, IdempotentRequest
from app.kept_responses.keeping import Keeping, columns_of
from app.sessions.lease import TURN_LEASE, LeasedSession


@dataclass(frozen=True)
class Batch:
    """What turns have in common that are admitted together.

    Attributes:
        organization_id: who pays.
        version: the version of the configuration that they are made of.
        valid_until: until when that is valid at the latest, by Postgres's clock; None if no end is known.
        has_keys: whether each of them claims an Idempotency-Key.
    """

    organization_id: str
    version: int
    valid_until: datetime | None
    has_keys: bool = False


@dataclass(frozen=True)
class Admission:
    """What one turn asks for to be admitted.

    Attributes:
        attribution: for whom and by what it runs.
        reference: that of its hold.
        amount: credits to be held.
        expires_in: how long until the turn is taken to have crashed.
        calls_opened: how many model calls begin with it.
        session_name: the name of the session that begins with it; None if its session is leased already.
        claims: the Idempotency-Key that it claims; None if it has none, or has claimed it already.
        most: the most that may ever be held and charged for it; None if there is no limit.
    """

    attribution: Attribution
    reference: str
    amount: Decimal
    expires_in: timedelta
    calls_opened: int
    session_name: str | None
    claims: IdempotentRequest | None = None
    most: Decimal | None = None


@dataclass(frozen=True)
class EndedTurn:
    """What is written when one turn ends.

    Attributes:
        session: its session, with its lease.
        reference: that of its hold.
        description: what the ledger says of it.
        uses: what its model calls have used.
        messages: what is stored in the session: one list per column, see `sessions.service.columns_of`.
        has_failed: whether something went wrong.
        answers: the Idempotency-Key under which its response is stored; None if none is.
        response: that response.
        user_id: whose session it is.
        keeping: what is kept of it as a response; None if nothing is.
    """

    session: LeasedSession
    reference: str
    description: str
    uses: Sequence[MeteredUse]
    messages: Sequence[Sequence[str | None]]
    has_failed: bool
    answers: IdempotentRequest | None = None
    response: JsonObject | None = None
    user_id: str = ""
    keeping: Keeping | None = None


async def admit(run: Statements, batch: Batch, admissions: Sequence[Admission]) -> bool:
    """Begin the sessions of turns, hold for each of them and claim its key, if it has any: all or none.

    Returns:
        False if less than all of it is available, if the setups are out of date, or if a key has been used before.
        Nothing has changed then.

    Raises:
        KeyCapReachedError: the key of one of them may not spend so much. Nothing is admitted.
    """
    columns = (
        [each.reference for each in admissions],
        [each.amount for each in admissions],
        [each.expires_in for each in admissions],
        [each.calls_opened for each in admissions],
        [each.most for each in admissions],
        [each.session_name for each in admissions],
        *zip(*(each.attribution.values() for each in admissions), strict=True),
    )
    amount = sum((each.amount for each in admissions), Decimal(0))
    values = batch.organization_id, amount, batch.version, batch.valid_until, TURN_LEASE
    if not batch.has_keys:
        with heeding_caps():
            return await run.fetchval(turn_statements.ADMIT, *values, *columns) is not None
    claims = [each.claims for each in admissions if each.claims]
    hashes = [claim.request_hash for claim in claims]
    try:
        with heeding_caps():
            admitted = await run.fetchval(
                turn_statements.ADMIT_ONCE, *values, LEASE, LIFETIME, *columns, *_keys(claims), hashes
            )
    except asyncpg.DivisionByZeroError:
        return False
    return admitted is not None


async def is_current(run: Statements, batch: Batch) -> bool:
    """Whether the configuration is still what Postgres has."""
    is_same: bool = await run.fetchval(
        turn_statements.CHECK_VERSION, batch.organization_id, batch.version, batch.valid_until
    )
    return is_same


async def end(run: Statements, organization_id: str, ended: Sequence[EndedTurn]) -> list[bool]:
    """Store the messages of turns, free their sessions, charge what they have used, and release the rest of each hold.

    Args:
        run: runs the statement.
        organization_id: who pays.
        ended: the turns. Either all of them store a response, or none. Either all of them keep one, or none.

    Returns:
        Of each turn whether that was done. If not, nothing of it has changed: its hold has ended before, more calls
        were opened than are known here, it has cost more than was held, or its key is not its own any more.
    """
    uses = [{"reference": each.reference, **use.to_json()} for each in ended for use in each.uses]
    turns = (
        [each.session.id for each in ended],
        [each.session.turn_id for each in ended],
        [each.reference for each in ended],
        [each.description for each in ended],
        [len(each.messages[0]) for each in ended],
        [each.has_failed for each in ended],
    )
    places = [position for position, each in enumerate(ended, 1) for _ in each.messages[0]]
    messages = [list(chain(*columns)) for columns in zip(*(each.messages for each in ended), strict=True)]
    answers = [each.answers for each in ended if each.answers]
    kept = [(each.keeping, each.user_id) for each in ended if each.keeping]
    statement = turn_statements.END[bool(answers), bool(kept)]
    keys = _keys(answers) if answers else ()
    responses = [[storable_json(each.response) for each in ended]] if answers else []
    columns = (*turns, *keys, *responses, *_kept(kept), places, *messages)
    rows = await run.fetch(statement, organization_id, storable_json(uses), *columns)
    done = {row["position"] for row in rows}
    return [position in done for position in range(1, len(ended) + 1)]


def _kept(kept: Sequence[tuple[Keeping, str]]) -> Sequence[Sequence[str | None]]:
    """The columns of `kept_responses.KEPT_COLUMNS`; none if nothing is kept."""
    return [*zip(*(columns_of(keeping, user_id) for keeping, user_id in kept), strict=True)]


def _keys(requests: Sequence[IdempotentRequest]) -> tuple[list[str], list[str], list[str], list[str]]:
    """The columns of `idempotency.KEY_COLUMNS`."""
    return (
        [each.user_id for each in requests],
        [each.route for each in requests],
        [each.key for each in requests],
        [each.claim_id for each in requests],
    )
