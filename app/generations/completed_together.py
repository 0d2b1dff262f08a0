"""The completion of attempts: their states, files and charges, and the start of the next generations.

One statement does it for all attempts of an organization that are completed together. Each of them is completed or left
as it is by itself: one that cannot be completed does not hold up the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain

from app.catalog.pricing import Cost
from app.core.database import Transaction
from app.core.json import storable_json
from app.credits import fragments
from app.credits import service as credits
from app.credits.metering import MeteredUse
from app.credits.models import EventKind
from app.credits.settlement import USE_FIELDS
from app.generations import attempt_history, parking
from app.generations.attempts import ClaimedAttempt, StoredFile
from app.generations.endings import unpark_next
from app.generations.service import hold_reference
from app.generations.states import CONDITIONS, State
from app.generations.telling import Announce
from app.queue.protocol import WakeQueue
from app.webhook_endpoints.models import EventType
from app.webhook_endpoints.outbox import wants_sql


@dataclass(frozen=True)
class Completion:
    """How one attempt is completed.

    Attributes:
        attempt: the attempt.
        files: its outputs, as they were read back from the store.
        cost: what it costs at the price it was accepted at.
        predict_time: seconds; None if the vendor did not report it.
    """

    attempt: ClaimedAttempt
    files: Sequence[StoredFile]
    cost: Cost
    predict_time: Decimal | None

    @property
    def reference(self) -> str:
        """What the attempt is held and charged under."""
        return hold_reference(self.attempt.generation_id, self.attempt.number)

    @property
    def use(self) -> MeteredUse:
        """What the attempt has used."""
        return MeteredUse(
            call_id=self.reference,
            kind=EventKind.GENERATION,
            agent=None,
            model=self.attempt.model,
            price_id=self.attempt.price_id,
            cost=self.cost.amount,
            is_estimated=self.cost.is_estimated,
            predict_time=self.predict_time,
            outputs=len(self.files),
        )


# Only if each path is one that the attempt has reserved: an object without a row would belong to nothing. Only outputs
# that complete an attempt are marked as verified: `find_abandoned` assumes that any other may be deleted.
#
# $1 the organization, $2 the uses; then what is given of the attempts, and of their files. Rows are locked in the order
# of their keys; two statements that lock several could wait for each other otherwise.
_EXPRESSIONS = {
    "given": """
        SELECT * FROM unnest($3::uuid[], $4::int[], $5::bigint[], $6::text[], $7::numeric[], $8::text[], $9::text[],
                             $10::int[])
        WITH ORDINALITY AS given (id, number, claim, first_type, cost, reference, description, files, position)
    """,
    "stored": """
        SELECT * FROM unnest($11::bigint[], $12::text[], $13::bigint[], $14::text[])
        AS stored (of_position, storage_path, size_bytes, sha256)
    """,
    "reserved": """
        SELECT given.position FROM outputs o JOIN stored USING (storage_path) JOIN given ON given.position = of_position
        WHERE o.generation_id = given.id AND o.attempt = given.number
        ORDER BY o.storage_path FOR UPDATE OF o
    """,
    "held": f"""
        SELECT given.* FROM generations g JOIN given USING (id)
        WHERE g.retry_count = given.number AND g.claim = given.claim AND {CONDITIONS[State.COPYING]}
          AND (SELECT count(*) FROM reserved WHERE reserved.position = given.position) = given.files
        ORDER BY id FOR UPDATE OF g
    """,
    "completed": f"""
        UPDATE generations g
        SET status = 'completed', content_type = held.first_type, credit_cost = held.cost, completed_at = now(),
            is_leased = false, outcome = NULL
        FROM held WHERE g.id = held.id
        RETURNING {attempt_history.RECORDED_COLUMNS}, held.position, held.reference, held.description
    """,
    "verified": """
        UPDATE outputs o SET size_bytes = stored.size_bytes, sha256 = stored.sha256
        FROM completed c JOIN stored ON c.position = of_position
        WHERE o.generation_id = c.id AND o.attempt = c.retry_count AND o.storage_path = stored.storage_path
    """,
    "noted": attempt_history.record_sql("completed"),
    "uses": f"SELECT * FROM jsonb_to_recordset($2::jsonb) AS given (reference text, {USE_FIELDS})",
    "account": fragments.locked_account(organization="$1", after="(SELECT nullif(count(*), 0) FROM completed)"),
    **fragments.settled(organization="$1", turns="completed", uses="uses", account="account", opened="0"),
}
_COMPLETE = f"""
WITH {", ".join(f"{name} AS ({sql})" for name, sql in _EXPRESSIONS.items())}
SELECT position, ended.position IS NOT NULL AS is_charged, EXISTS (
    SELECT FROM generations WHERE organization_id = $1 AND {CONDITIONS[State.PARKED]}
) AS has_parked, {wants_sql("$1", EventType.CONTENT_COMPLETED)} AS is_wanted
FROM completed LEFT JOIN ended USING (position)
"""

_SET_COST = "UPDATE generations SET credit_cost = $3 WHERE id = $1 AND retry_count = $2"


async def complete(
    tx: Transaction, queue: WakeQueue, announce: Announce, organization_id: str, completions: Sequence[Completion]
) -> list[bool]:
    """Complete attempts of one organization, charge each of them, and let its next generations start.

    If an endpoint of the organization wants to be told of that, `announce` is called with those that were completed.

    Returns:
        For each attempt in order: False if its claim was lost, or if one of the files does not belong to it. Nothing of
        it has changed then.
    """
    await parking.lock_organization(tx, organization_id)
    uses = [{"reference": each.reference, **each.use.to_json()} for each in completions]
    rows = await tx.fetch(_COMPLETE, organization_id, storable_json(uses), *_columns(completions))
    completed = {row["position"]: row["is_charged"] for row in rows}
    for position, completion in enumerate(completions, 1):
        if completed.get(position) is False:
            await _charge_alone(tx, completion)
    if any(row["has_parked"] for row in rows):
        await unpark_next(tx, queue, organization_id)
    if any(row["is_wanted"] for row in rows):
        ended = [each.attempt.generation_id for position, each in enumerate(completions, 1) if position in completed]
        await announce(tx, organization_id, ended)
    return [position in completed for position in range(1, len(completions) + 1)]


def _columns(completions: Sequence[Completion]) -> tuple[list[object], ...]:
    """The parameters of `_COMPLETE` from the third one on: the columns of the attempts, then those of their files."""
    attempts = [
        (
            *each.attempt.key,
            each.files[0].content_type,
            each.cost.amount,
            each.reference,
            each.attempt.model,
            len(each.files),
        )
        for each in completions
    ]
    files = chain.from_iterable(
        [(position, file.storage_path, file.size_bytes, file.sha256) for file in each.files]
        for position, each in enumerate(completions, 1)
    )
    return *(list(column) for column in zip(*attempts, strict=True)), *(
        list(column) for column in zip(*files, strict=True)
    )


async def _charge_alone(tx: Transaction, completion: Completion) -> None:
    """Charge an attempt that the statement could not charge: its hold has ended, or holds less than it costs."""
    attempt = completion.attempt
    ended = await credits.settle(
        tx,
        organization_id=attempt.organization_id,
        reference=completion.reference,
        uses=[completion.use],
        description=attempt.model,
    )
    charged = ended.charged if ended else Decimal(0)
    if charged != completion.cost.amount:
        await tx.execute(_SET_COST, attempt.generation_id, attempt.number, charged)
