"""What the sweeper looks for. Each query uses its own index, so that a backlog in one does not hide the others."""

from datetime import timedelta
from enum import StrEnum

from app.core.database import Transaction, one_of
from app.core.statements import Statements
from app.generations import claims, create_calls, parking
from app.generations.attempts import ATTEMPT_COLUMNS, Attempt
from app.generations.states import CONDITIONS, UNENDED, State
from app.queue.protocol import WakeKind
from app.webhook_endpoints.sending import IS_DUE

# How long after its deadline an attempt may still be copied, if the copy had begun before.
COPY_GRACE = timedelta(minutes=5)

# A copy whose lease ended more than `{grace}` ago never began, or was interrupted. Any other goes on for a while.
_IS_LATE = f"""
{one_of("status", UNENDED)} AND deadline_at <= now()
AND (outcome IS NULL OR due_at <= now() - {{grace}}::interval OR deadline_at <= now() - {{copy_grace}}::interval)
"""

_LATE = f"""
SELECT {ATTEMPT_COLUMNS} FROM generations c
WHERE {_IS_LATE.format(grace="$2", copy_grace="$3")} ORDER BY deadline_at LIMIT $1
"""

_DUE = f"""
SELECT EXISTS (SELECT FROM generations
               WHERE {CONDITIONS[State.PENDING]} AND due_at <= now() AND deadline_at > now()) AS starts,
       EXISTS (SELECT FROM generations
               WHERE {CONDITIONS[State.COPYING]} AND due_at <= now() AND deadline_at > now()) AS copies
"""

# $1 and $2: how long a claim may be silent, and the grace of `find_late`; $3 is `COPY_GRACE`.
_WORK = f"""
SELECT EXISTS (SELECT FROM create_calls WHERE {create_calls.IS_OPEN} AND sent_at <= now() - $1::interval)
       OR EXISTS (SELECT FROM create_calls WHERE {create_calls.IS_LOST_DUE})
       OR EXISTS (SELECT FROM generations WHERE {claims.IS_ORPHAN.format(grace="$2")}) AS adopt,
       EXISTS (SELECT FROM create_calls WHERE {create_calls.IS_CANCEL_DUE}) AS cancel,
       EXISTS (SELECT FROM generations WHERE {_IS_LATE.format(grace="$2", copy_grace="$3")}) AS end_late,
       EXISTS ({parking.FREE_CAPACITY}) AS fill_capacity,
       EXISTS (SELECT FROM webhook_deliveries WHERE {IS_DUE}) AS send_webhooks,
       EXISTS (SELECT FROM generations
               WHERE {CONDITIONS[State.PENDING]} AND due_at <= now() AND deadline_at > now())
       OR EXISTS (SELECT FROM generations
                  WHERE {CONDITIONS[State.COPYING]} AND due_at <= now() AND deadline_at > now()) AS wake_due
"""


class Work(StrEnum):
    """What there may be to do that no wake has told of."""

    ADOPT = "adopt"  # calls without a response, and attempts that wait for one
    CANCEL = "cancel"  # predictions that nobody waits for
    END_LATE = "end_late"  # attempts past their deadline
    FILL_CAPACITY = "fill_capacity"  # parked generations that could run
    SEND_WEBHOOKS = "send_webhooks"  # events that organizations want to be told of
    WAKE_DUE = "wake_due"  # starts and copies that are due


def is_late_sql(grace: str, copy_grace: str) -> str:
    """The SQL condition that a generation has reached its deadline, and that no copy of it may go on.

    The arguments are the parameters of the two intervals, such as `$2`: see `find_late` and `COPY_GRACE`.
    """
    return _IS_LATE.format(grace=grace, copy_grace=copy_grace)


async def find_work(run: Statements, *, silence: timedelta, grace: timedelta) -> set[Work]:
    """All that is to be done now, in one statement, so that a worker without work asks Postgres only this.

    Args:
        run: where the statement runs.
        silence: how long nothing is heard of a create call before it is taken for lost.
        grace: how long after its end a lease is taken for lapsed.
    """
    (row,) = await run.fetch(_WORK, silence, grace, COPY_GRACE)
    return {work for work in Work if row[work]}


async def find_late(tx: Transaction, limit: int, grace: timedelta) -> list[Attempt]:
    """Attempts that have reached their deadline, except those that are being copied within `COPY_GRACE` of it.

    A copy whose lease ended more than `grace` ago never began, or was interrupted.
    """
    return [Attempt.from_row(row) for row in await tx.fetch(_LATE, limit, grace, COPY_GRACE)]


async def find_due_kinds(tx: Transaction) -> set[WakeKind]:
    """The kinds of wake for which rows are due."""
    row = await tx.fetchrow(_DUE)
    if row is None:
        return set()
    due = {WakeKind.START: row["starts"], WakeKind.COPY: row["copies"]}
    return {kind for kind, is_due in due.items() if is_due}
