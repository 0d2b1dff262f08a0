"""The SQL of holds: how they are placed, how calls are opened on them, and how they end. One statement is one step.

Every statement that touches a hold locks the organization's account row first, so that no two of them can deadlock. It
then writes both amounts from the locked row and never from its own snapshot, which may be older: Postgres checks the
constraints on the values computed from the snapshot before it looks for the newer row.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from app.core.attribution import ATTRIBUTION_COLUMNS, Attribution
from app.core.database import Transaction
from app.credits.metering import MeteredUse, Settlement, events_json
from app.credits.models import EntryKind, HoldState
from app.credits.references import LATE, SUPERSEDED

_ATTRIBUTION = ", ".join(ATTRIBUTION_COLUMNS)
_HOLDS_ATTRIBUTION = ", ".join(f"hold.{name}" for name in ATTRIBUTION_COLUMNS)
# Of an event, agent and model are the call's own.
_ORIGIN = ", ".join(name for name in ATTRIBUTION_COLUMNS if name not in {"agent", "model"})
_HOLDS_ORIGIN = ", ".join(f"hold.{name}" for name in ATTRIBUTION_COLUMNS if name not in {"agent", "model"})
_QUANTITIES = "prompt_tokens, completion_tokens, delivered_bytes, predict_time, outputs"
_USE = f"call_id, price_id, is_estimated, cost, {_QUANTITIES}"

_ACCOUNT = """
account AS MATERIALIZED (
    SELECT organization_id, balance, held FROM credit_accounts WHERE organization_id = $1 FOR UPDATE
)
"""


def _given(parameter: str) -> str:
    return f"""
given AS (
    SELECT * FROM jsonb_to_recordset({parameter}::jsonb) AS e (
        call_id text, kind text, agent text, model text, price_id int, is_estimated bool, cost numeric,
        prompt_tokens bigint, completion_tokens bigint, delivered_bytes bigint, predict_time numeric, outputs int,
        began_ago double precision, first_token_ago double precision, ended_ago double precision
    )
)
"""


# Only for a hold that the statement has found; an event that is recorded already stays as it is. Times are counted back
# from when the statement arrived, because it may wait for the account.
_RECORD = f"""
INSERT INTO metering_events (hold_reference, kind, agent, model, {_USE}, began_at, first_token_at, ended_at, {_ORIGIN})
SELECT $2, kind, given.agent, given.model, {_USE}, statement_timestamp() - make_interval(secs => began_ago),
       statement_timestamp() - make_interval(secs => first_token_ago),
       statement_timestamp() - make_interval(secs => ended_ago), {_HOLDS_ORIGIN}
FROM given, hold
ON CONFLICT (call_id) DO NOTHING
"""

_HOLD = f"""
WITH account AS (
    UPDATE credit_accounts SET held = held + $3
    WHERE organization_id = $1 AND balance - held >= $3
    RETURNING organization_id
)
INSERT INTO credit_holds (reference, amount, state, expires_at, calls_opened, {_ATTRIBUTION})
SELECT $2, $3, '{HoldState.OPEN}', now() + $4, $5, account.organization_id, $6, $7, $8, $9, $10, $11, $12, $13
FROM account
RETURNING id
"""

_OPEN_CALL = f"""
WITH {_ACCOUNT}, {_given("$4")}, hold AS (
    UPDATE credit_holds h SET amount = h.amount + $3, calls_opened = h.calls_opened + 1 FROM account
    WHERE h.organization_id = account.organization_id AND h.reference = $2 AND h.state = '{HoldState.OPEN}'
      AND account.balance - account.held >= $3
    RETURNING h.*
), recorded AS ({_RECORD})
UPDATE credit_accounts a SET balance = account.balance, held = account.held + $3 FROM account, hold
WHERE a.organization_id = account.organization_id
RETURNING hold.amount
"""

# The caller's events count whether or not this statement's snapshot shows them: they may have been recorded by a
# transaction whose reply was lost.
_SETTLE = f"""
WITH {_ACCOUNT}, {_given("$3")}, used AS (
    SELECT {_USE} FROM metering_events WHERE hold_reference = $2
    UNION ALL
    SELECT {_USE} FROM given
    WHERE NOT EXISTS (SELECT FROM metering_events e WHERE e.hold_reference = $2 AND e.call_id = given.call_id)
), total AS (
    SELECT coalesce(sum(cost), 0) AS cost, coalesce(bool_or(is_estimated), false) AS is_estimated,
           coalesce(bool_or(cost > 0 OR prompt_tokens > 0 OR completion_tokens > 0 OR outputs > 0), false) AS is_used
    FROM used
), hold AS (
    UPDATE credit_holds h
    SET state = CASE WHEN total.is_used THEN '{HoldState.SETTLED}' ELSE '{HoldState.VOIDED}' END, ended_at = now(),
        charged = CASE WHEN total.is_used
                       THEN GREATEST(0, LEAST(total.cost, h.amount + account.balance - account.held)) END
    FROM account, total
    WHERE h.organization_id = account.organization_id AND h.reference = $2 AND h.state = '{HoldState.OPEN}'
    RETURNING h.*
), recorded AS ({_RECORD}), paid AS (
    UPDATE credit_accounts a
    SET balance = account.balance - coalesce(hold.charged, 0), held = account.held - hold.amount
    FROM account, hold WHERE a.organization_id = account.organization_id
    RETURNING a.balance
), sums AS (
    SELECT price_id, count(*) AS calls, sum(prompt_tokens) AS prompt_tokens,
           sum(completion_tokens) AS completion_tokens, sum(predict_time)::text AS predict_time,
           sum(outputs) AS outputs, sum(cost)::text AS cost
    FROM used GROUP BY price_id
), entry AS (
    INSERT INTO ledger_entries (kind, reference, amount, balance_after, is_estimated, description, quantities,
                                {_ATTRIBUTION})
    SELECT '{EntryKind.CHARGE}', $2, -hold.charged, paid.balance, total.is_estimated, $4,
           (SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(sums)) ORDER BY price_id) FROM sums), {_HOLDS_ATTRIBUTION}
    FROM hold, paid, total WHERE hold.charged IS NOT NULL
)
SELECT hold.amount, total.cost, coalesce(hold.charged, 0) AS charged FROM hold, total
"""

_VOID = f"""
WITH {_ACCOUNT}, hold AS (
    UPDATE credit_holds h SET state = '{HoldState.VOIDED}', ended_at = now()
    FROM account
    WHERE h.organization_id = account.organization_id AND h.reference = $2 AND h.state = '{HoldState.OPEN}'
    RETURNING h.amount
)
UPDATE credit_accounts a SET balance = account.balance, held = account.held - hold.amount FROM account, hold
WHERE a.organization_id = account.organization_id
RETURNING hold.amount
"""

# The statements below follow `lock_account`, so that their snapshots show the hold as its last transaction left it.
_CHARGE_LATE = f"""
WITH {_ACCOUNT}, {_given("$3")}, hold AS (
    SELECT * FROM credit_holds WHERE organization_id = $1 AND reference = $2 AND state <> '{HoldState.OPEN}'
), recorded AS ({_RECORD} RETURNING {_USE}), paid AS (
    UPDATE credit_accounts a SET balance = account.balance - LEAST(recorded.cost, account.balance - account.held)
    FROM account, recorded, hold
    WHERE a.organization_id = account.organization_id AND recorded.cost > 0 AND hold.superseded_by IS NULL
    RETURNING a.balance, LEAST(recorded.cost, account.balance - account.held) AS charged
), entry AS (
    INSERT INTO ledger_entries (kind, reference, amount, balance_after, is_estimated, description, quantities,
                                {_ATTRIBUTION})
    SELECT '{EntryKind.CHARGE}', '{LATE}:' || recorded.call_id, -paid.charged, paid.balance, recorded.is_estimated, $4,
           jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
               'price_id', price_id, 'calls', 1, 'prompt_tokens', prompt_tokens,
               'completion_tokens', completion_tokens, 'predict_time', predict_time::text, 'outputs', outputs,
               'cost', cost::text))), {_HOLDS_ATTRIBUTION}
    FROM hold, recorded, paid
)
SELECT charged FROM paid
"""

# A hold that is open is voided. What a hold that has ended was charged, also late, is given back.
_SUPERSEDE = f"""
WITH {_ACCOUNT}, hold AS (
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
    UPDATE credit_accounts a SET balance = account.balance + hold.refunded, held = account.held - hold.released
    FROM account, hold WHERE a.organization_id = account.organization_id
    RETURNING a.balance
)
INSERT INTO ledger_entries (kind, reference, amount, balance_after, is_estimated, description, {_ATTRIBUTION})
SELECT '{EntryKind.ADJUSTMENT}', '{SUPERSEDED}:' || $2, hold.refunded, paid.balance, false, $4, {_HOLDS_ATTRIBUTION}
FROM hold, paid WHERE hold.refunded > 0
"""


async def hold(
    tx: Transaction,
    attribution: Attribution,
    reference: str,
    amount: Decimal,
    expires_in: timedelta | None,
    calls_opened: int,
) -> bool:
    """Hold an amount. False if less than that is available."""
    organization_id, *rest = attribution.values()
    return await tx.fetchval(_HOLD, organization_id, reference, amount, expires_in, calls_opened, *rest) is not None


async def open_call(
    tx: Transaction, organization_id: str, reference: str, amount: Decimal, uses: Sequence[MeteredUse]
) -> bool:
    """Add to an open hold, note that a call is opened, and record earlier uses.

    Returns:
        False if less than the amount is available, or the hold has ended. Nothing has changed then.
    """
    return await tx.fetchval(_OPEN_CALL, organization_id, reference, amount, events_json(uses)) is not None


async def settle(
    tx: Transaction, organization_id: str, reference: str, uses: Sequence[MeteredUse], description: str
) -> Settlement | None:
    """Record the uses, charge all that the open hold has recorded, and release the rest.

    Returns:
        None if the hold had ended before. Nothing has changed then.
    """
    row = await tx.fetchrow(_SETTLE, organization_id, reference, events_json(uses), description)
    return None if row is None else Settlement(held=row["amount"], cost=row["cost"], charged=row["charged"])


async def void(tx: Transaction, organization_id: str, reference: str) -> bool:
    """Release an open hold without a charge. False if it had ended before."""
    return await tx.fetchval(_VOID, organization_id, reference) is not None


async def lock_account(tx: Transaction, organization_id: str) -> None:
    """Lock the account, so that the next statement sees what the transactions before have left."""
    await tx.execute("SELECT FROM credit_accounts WHERE organization_id = $1 FOR UPDATE", organization_id)


async def charge_late(
    tx: Transaction, organization_id: str, reference: str, use: MeteredUse, description: str
) -> Decimal | None:
    """Record a use whose hold has ended, and charge it from what is available. The account must be locked.

    Returns:
        What was charged; None if nothing was: the use was recorded before, is free, or its hold is superseded.
    """
    charged: Decimal | None = await tx.fetchval(
        _CHARGE_LATE, organization_id, reference, events_json([use]), description
    )
    return charged


async def supersede(tx: Transaction, organization_id: str, reference: str, by_reference: str, description: str) -> None:
    """End a hold at no cost in favour of another one. The account must be locked."""
    await tx.execute(_SUPERSEDE, organization_id, reference, by_reference, description)
