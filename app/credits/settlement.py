"""The SQL of holds: how they are placed, how calls are opened on them, and how they end.

Every step that touches a hold locks the organization's account first, by a statement of its own. So no two of them can
deadlock, and the statement that follows sees everything that the steps before it have left.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from app.core.attribution import ATTRIBUTION_COLUMNS, Attribution, attribution_parameters
from app.core.database import Transaction
from app.credits.key_caps import heeding_caps, key_left
from app.credits.metering import MeteredUse, Settlement, events_json
from app.credits.models import EntryKind, HoldState
from app.credits.references import LATE, SUPERSEDED

_ATTRIBUTION = ", ".join(ATTRIBUTION_COLUMNS)
_HOLDS_ATTRIBUTION = ", ".join(f"hold.{name}" for name in ATTRIBUTION_COLUMNS)
# The agent and the model of an event are those of its call; if it names no agent, that of the hold.
ORIGIN_COLUMNS = ", ".join(name for name in ATTRIBUTION_COLUMNS if name not in {"agent", "model"})
_HOLDS_ORIGIN = ", ".join(f"hold.{name}" for name in ATTRIBUTION_COLUMNS if name not in {"agent", "model"})
_QUANTITIES = "prompt_tokens, completion_tokens, delivered_bytes, predict_time, outputs"
USE_COLUMNS = f"call_id, price_id, is_estimated, cost, {_QUANTITIES}"
EVENT_COLUMNS = f"kind, agent, model, {USE_COLUMNS}, began_at, first_token_at, ended_at"
# A use as `events_json` writes it.
USE_FIELDS = """
    call_id text, kind text, agent text, model text, price_id int, is_estimated bool, cost numeric(18, 6),
    prompt_tokens bigint, completion_tokens bigint, delivered_bytes bigint, predict_time numeric, outputs int,
    began_ago double precision, first_token_ago double precision, ended_ago double precision
"""

_LOCK = "SELECT FROM credit_accounts WHERE organization_id = $1 FOR UPDATE"


def _given(parameter: str) -> str:
    return f"given AS (SELECT * FROM jsonb_to_recordset({parameter}::jsonb) AS e ({USE_FIELDS}))"


def sums_sql(uses: str) -> str:
    """Of uses: for each price their number and the sums of their quantities. Decimals are texts, to be read exactly."""
    return f"""
    SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(sums)) ORDER BY price_id)
    FROM (SELECT price_id, count(*) AS calls, sum(prompt_tokens) AS prompt_tokens,
                 sum(completion_tokens) AS completion_tokens, sum(predict_time)::text AS predict_time,
                 sum(outputs) AS outputs, sum(cost)::text AS cost
          FROM {uses} GROUP BY price_id) sums
    """


# Only for a hold that the statement has found; an event that is recorded already stays as it is. Times are counted back
# from when the statement arrived, because it may wait for the account.
_RECORD = f"""
INSERT INTO metering_events (hold_reference, {EVENT_COLUMNS}, {ORIGIN_COLUMNS})
SELECT $2, kind, coalesce(given.agent, hold.agent), given.model, {USE_COLUMNS},
       statement_timestamp() - make_interval(secs => began_ago),
       statement_timestamp() - make_interval(secs => first_token_ago),
       statement_timestamp() - make_interval(secs => ended_ago), {_HOLDS_ORIGIN}
FROM given, hold
ON CONFLICT (call_id) DO NOTHING
"""

_OPEN_HOLD = f"organization_id = $1 AND reference = $2 AND state = '{HoldState.OPEN}'"

# The one step without a lock before it: it reads nothing but the row that it changes.
_HOLD = f"""
WITH account AS (
    UPDATE credit_accounts SET held = held + $3
    WHERE organization_id = $1 AND balance - held >= $3
    RETURNING organization_id
)
INSERT INTO credit_holds (reference, amount, state, expires_at, calls_opened, most, {_ATTRIBUTION})
SELECT $2, $3, '{HoldState.OPEN}', now() + $4, $5, $6, {attribution_parameters(7)} FROM account
RETURNING id
"""

_OPEN_CALL = f"""
WITH {_given("$4")}, hold AS (
    UPDATE credit_holds h SET amount = h.amount + $3, calls_opened = h.calls_opened + 1 FROM credit_accounts a
    WHERE a.organization_id = $1 AND a.balance - a.held >= $3
      AND h.organization_id = $1 AND h.reference = $2 AND h.state = '{HoldState.OPEN}'
      AND h.amount + $3 <= coalesce(h.most, 'infinity')
    RETURNING h.*
), recorded AS ({_RECORD})
UPDATE credit_accounts SET held = held + $3 FROM hold WHERE credit_accounts.organization_id = $1
RETURNING amount
"""

# What is taken from the most that a hold may be charged is not held by it any more.
_SHARE = f"""
WITH former AS (
    SELECT * FROM credit_holds WHERE {_OPEN_HOLD}
), hold AS (
    UPDATE credit_holds h SET most = former.most - $3, amount = LEAST(former.amount, former.most - $3)
    FROM former WHERE h.id = former.id AND former.most - $3 >= $4
    RETURNING h.amount, former.amount - h.amount AS released
)
UPDATE credit_accounts SET held = held - released FROM hold WHERE organization_id = $1
RETURNING hold.amount
"""

# `recorded` are the uses that were not recorded before, as they are stored.
_SETTLE = f"""
WITH {_given("$3")}, hold AS (
    SELECT h.*, a.balance - a.held AS available, {key_left("h.api_key_id")} AS key_left
    FROM credit_holds h JOIN credit_accounts a USING (organization_id)
    WHERE {_OPEN_HOLD}
), recorded AS ({_RECORD} RETURNING {USE_COLUMNS}), used AS (
    SELECT {USE_COLUMNS} FROM metering_events WHERE hold_reference = $2
    UNION ALL
    SELECT {USE_COLUMNS} FROM recorded
), total AS (
    SELECT coalesce(sum(cost), 0) AS cost, coalesce(bool_or(is_estimated), false) AS is_estimated,
           coalesce(bool_or(cost > 0 OR prompt_tokens > 0 OR completion_tokens > 0 OR outputs > 0), false) AS is_used
    FROM used
), ended AS (
    UPDATE credit_holds h
    SET state = CASE WHEN is_used THEN '{HoldState.SETTLED}' ELSE '{HoldState.VOIDED}' END, ended_at = now(),
        charged = CASE WHEN is_used THEN
            LEAST(cost, hold.amount + hold.available, hold.amount + hold.key_left, h.most) END
    FROM hold, total WHERE h.id = hold.id
    RETURNING h.amount, h.charged
), paid AS (
    UPDATE credit_accounts a SET balance = balance - coalesce(charged, 0), held = held - amount
    FROM ended WHERE organization_id = $1
    RETURNING balance
), entry AS (
    INSERT INTO ledger_entries (kind, reference, amount, balance_after, is_estimated, description, quantities,
                                {_ATTRIBUTION})
    SELECT '{EntryKind.CHARGE}', $2, -ended.charged, paid.balance, total.is_estimated, $4, ({sums_sql("used")}),
           {_HOLDS_ATTRIBUTION}
    FROM hold, ended, paid, total WHERE ended.charged IS NOT NULL
)
SELECT ended.amount, total.cost, coalesce(ended.charged, 0) AS charged FROM ended, total
"""

_FIND_MOST = "SELECT most FROM credit_holds WHERE organization_id = $1 AND reference = $2"
_FIND_AMOUNT = "SELECT coalesce(charged, amount) FROM credit_holds WHERE organization_id = $1 AND reference = $2"

_VOID = f"""
WITH hold AS (
    UPDATE credit_holds SET state = '{HoldState.VOIDED}', ended_at = now() WHERE {_OPEN_HOLD}
    RETURNING amount
)
UPDATE credit_accounts SET held = held - amount FROM hold WHERE organization_id = $1
RETURNING amount
"""

_CHARGE_LATE = f"""
WITH {_given("$3")}, hold AS (
    SELECT * FROM credit_holds WHERE organization_id = $1 AND reference = $2 AND state <> '{HoldState.OPEN}'
), recorded AS ({_RECORD} RETURNING {USE_COLUMNS}), used AS (
    SELECT recorded.* FROM recorded, hold WHERE cost > 0 AND superseded_by IS NULL
), late AS (
    SELECT coalesce(sum(l.amount), 0) AS total FROM metering_events e
    JOIN ledger_entries l ON l.reference = '{LATE}:' || e.call_id WHERE e.hold_reference = $2
), charge AS (
    SELECT LEAST(cost, balance - held, {key_left("hold.api_key_id")},
                 most - LEAST(most, coalesce(charged, 0) - total)) AS amount
    FROM used, hold, late, credit_accounts a WHERE a.organization_id = $1
), paid AS (
    UPDATE credit_accounts SET balance = balance - amount FROM charge WHERE organization_id = $1
    RETURNING balance
), entry AS (
    INSERT INTO ledger_entries (kind, reference, amount, balance_after, is_estimated, description, quantities,
                                {_ATTRIBUTION})
    SELECT '{EntryKind.CHARGE}', '{LATE}:' || used.call_id, -charge.amount, paid.balance, used.is_estimated, $4,
           ({sums_sql("used")}), {_HOLDS_ATTRIBUTION}
    FROM hold, used, charge, paid
)
SELECT amount FROM charge
"""

# A hold that is open is voided. What a hold that has ended was charged, also late, is given back.
_SUPERSEDE = f"""
WITH hold AS (
    SELECT h.*, CASE WHEN state = '{HoldState.OPEN}' THEN amount ELSE 0 END AS released, coalesce(charged, 0) + (
        SELECT coalesce(-sum(l.amount), 0) FROM metering_events e JOIN ledger_entries l
        ON l.reference = '{LATE}:' || e.call_id WHERE e.hold_reference = $2
    ) AS refunded
    FROM credit_holds h
    WHERE organization_id = $1 AND reference = $2 AND superseded_by IS NULL
), ended AS (
    UPDATE credit_holds h
    SET superseded_by = $3, ended_at = coalesce(h.ended_at, now()),
        state = CASE WHEN h.state = '{HoldState.OPEN}' THEN '{HoldState.VOIDED}' ELSE h.state END
    FROM hold WHERE h.id = hold.id
), paid AS (
    UPDATE credit_accounts a SET balance = balance + refunded, held = held - released
    FROM hold WHERE a.organization_id = $1
    RETURNING balance
)
INSERT INTO ledger_entries (kind, reference, amount, balance_after, is_estimated, description, {_ATTRIBUTION})
SELECT '{EntryKind.ADJUSTMENT}', '{SUPERSEDED}:' || $2, hold.refunded, paid.balance, false, $4, {_HOLDS_ATTRIBUTION}
FROM hold, paid WHERE hold.refunded > 0
"""


async def lock_account(tx: Transaction, organization_id: str) -> None:
    """Lock the account, so that the next statement sees what the transactions before have left."""
    await tx.execute(_LOCK, organization_id)


async def hold(
    tx: Transaction,
    attribution: Attribution,
    reference: str,
    amount: Decimal,
    expires_in: timedelta | None,
    calls_opened: int,
    most: Decimal | None,
) -> bool:
    """Hold an amount. False if less than that is available.

    Raises:
        KeyCapReachedError: the key may not spend so much.
    """
    values = (attribution.organization_id, reference, amount, expires_in, calls_opened, most, *attribution.values())
    with heeding_caps():
        return await tx.fetchval(_HOLD, *values) is not None


async def open_call(
    tx: Transaction, organization_id: str, reference: str, amount: Decimal, uses: Sequence[MeteredUse]
) -> bool:
    """Add to an open hold, note that a call is opened, and record earlier uses.

    Returns:
        False if less than the amount is available, or the hold has ended, or it would be more than the most that it
        may be charged. Nothing has changed then.

    Raises:
        KeyCapReachedError: the key may not spend so much.
    """
    await lock_account(tx, organization_id)
    with heeding_caps():
        return await tx.fetchval(_OPEN_CALL, organization_id, reference, amount, events_json(uses)) is not None


async def share(
    tx: Transaction, organization_id: str, reference: str, amount: Decimal, needed: Decimal
) -> Decimal | None:
    """Take an amount from the most that an open hold may be charged, for another hold of the same request.

    `needed` is what it has to hold nevertheless.

    Returns:
        What it holds now; None if so much cannot be taken, or the hold has ended. Nothing has changed then.
    """
    await lock_account(tx, organization_id)
    held: Decimal | None = await tx.fetchval(_SHARE, organization_id, reference, amount, needed)
    return held


async def find_most(tx: Transaction, organization_id: str, reference: str) -> Decimal | None:
    """The most that a hold may be charged; None if there is no limit."""
    most: Decimal | None = await tx.fetchval(_FIND_MOST, organization_id, reference)
    return most


async def find_amount(tx: Transaction, organization_id: str, reference: str) -> Decimal:
    """What a hold was charged, or holds if it is open; 0 if there is none."""
    amount: Decimal | None = await tx.fetchval(_FIND_AMOUNT, organization_id, reference)
    return amount or Decimal(0)


async def settle(
    tx: Transaction, organization_id: str, reference: str, uses: Sequence[MeteredUse], description: str
) -> Settlement | None:
    """Record the uses, charge all that the open hold has recorded, and release the rest.

    Returns:
        None if the hold had ended before. Nothing has changed then.
    """
    await lock_account(tx, organization_id)
    row = await tx.fetchrow(_SETTLE, organization_id, reference, events_json(uses), description)
    return None if row is None else Settlement(held=row["amount"], cost=row["cost"], charged=row["charged"])


async def void(tx: Transaction, organization_id: str, reference: str) -> bool:
    """Release an open hold without a charge. False if it had ended before."""
    await lock_account(tx, organization_id)
    return await tx.fetchval(_VOID, organization_id, reference) is not None


async def charge_late(
    tx: Transaction, organization_id: str, reference: str, use: MeteredUse, description: str
) -> Decimal | None:
    """Record a use whose hold has ended, and charge it from what is available.

    Returns:
        What was charged; None if nothing was: the use was recorded before, is free, or its hold is superseded.
    """
    await lock_account(tx, organization_id)
    charged: Decimal | None = await tx.fetchval(
        _CHARGE_LATE, organization_id, reference, events_json([use]), description
    )
    return charged


async def supersede(tx: Transaction, organization_id: str, reference: str, by_reference: str, description: str) -> None:
    """End a hold at no cost in favour of another one."""
    await lock_account(tx, organization_id)
    await tx.execute(_SUPERSEDE, organization_id, reference, by_reference, description)
