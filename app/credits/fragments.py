"""The parts of credits in statements that admit turns, or end turns and generations: expressions, each by its name.

Whoever puts them together says where the values come from; see `app.chat.turns.turn_statements` and
`app.generations.completed_together`.
"""

from app.core.attribution import ATTRIBUTION_COLUMNS
from app.credits.models import EntryKind, HoldState
from app.credits.settlement import EVENT_COLUMNS, ORIGIN_COLUMNS, USE_COLUMNS, sums_sql

_ATTRIBUTION = ", ".join(ATTRIBUTION_COLUMNS)


def reserved(*, organization: str, amount: str, condition: str) -> str:
    """The organization, with this amount held, if so much is available and the condition is true; else no row."""
    return f"""
    UPDATE credit_accounts SET held = held + {amount}
    WHERE organization_id = {organization} AND balance - held >= {amount} AND {condition}
    RETURNING organization_id
    """


def payable(*, organization: str, amount: str) -> str:
    """A row if the organization has this amount available at the moment. Nothing is locked."""
    return f"""
    SELECT FROM credit_accounts WHERE organization_id = {organization} AND balance - held >= {amount}
    """


def holds(source: str) -> str:
    """An open hold for each row of `source`, which has all that is given of one."""
    return f"""
    INSERT INTO credit_holds (reference, amount, state, expires_at, calls_opened, most, {_ATTRIBUTION})
    SELECT reference, amount, '{HoldState.OPEN}', now() + expires_in, calls_opened, most, {_ATTRIBUTION} FROM {source}
    """


def locked_account(*, organization: str, after: str) -> str:
    """The organization's balance and what it holds, locked once the expression `after` is known."""
    return f"""
    SELECT balance, held FROM credit_accounts WHERE organization_id = {organization} AND {after} IS NOT NULL FOR UPDATE
    """


def settled(*, organization: str, turns: str, uses: str, account: str, opened: str = "t.calls") -> dict[str, str]:
    """What settles the holds of several turns, or generations, from their uses, by the names of the expressions.

    `ended` are the holds that it ends. A hold is left as it is that has ended before, for which more calls were opened
    than there are uses, or that holds less than they cost: nothing but its own statements can settle it.

    Args:
        organization: who pays.
        turns: has the columns `reference`, `position` and `description`.
        uses: has the columns of an event, and the `reference` of its hold.
        account: is what `locked_account` has found.
        opened: how many calls were opened for a hold; by default as many as there are uses, `t.calls`.
    """
    is_used = "cost > 0 OR prompt_tokens > 0 OR completion_tokens > 0 OR outputs > 0"
    return {
        "totals": f"""
            SELECT t.reference, t.position, t.description, count(u.call_id) AS calls, coalesce(sum(cost), 0) AS cost,
                   coalesce(bool_or(u.is_estimated), false) AS is_estimated, coalesce(bool_or({is_used}), false)
                   AS is_used
            FROM {turns} t LEFT JOIN {uses} u USING (reference) GROUP BY 1, 2, 3
        """,
        "ended": f"""
            UPDATE credit_holds h
            SET state = CASE WHEN t.is_used THEN '{HoldState.SETTLED}' ELSE '{HoldState.VOIDED}' END, ended_at = now(),
                charged = CASE WHEN t.is_used THEN t.cost END
            FROM totals t, {account} WHERE h.organization_id = {organization} AND h.reference = t.reference
              AND h.state = '{HoldState.OPEN}' AND h.calls_opened = {opened} AND h.amount >= t.cost
            RETURNING t.position, t.description, t.is_estimated, h.*
        """,
        "recorded": f"""
            INSERT INTO metering_events (hold_reference, {EVENT_COLUMNS}, {ORIGIN_COLUMNS})
            SELECT hold.reference, given.kind, coalesce(given.agent, hold.agent), given.model,
                   {", ".join(f"given.{name}" for name in USE_COLUMNS.split(", "))},
                   statement_timestamp() - make_interval(secs => given.began_ago),
                   statement_timestamp() - make_interval(secs => given.first_token_ago),
                   statement_timestamp() - make_interval(secs => given.ended_ago),
                   {", ".join(f"hold.{name}" for name in ORIGIN_COLUMNS.split(", "))}
            FROM ended hold JOIN {uses} given USING (reference)
            ON CONFLICT (call_id) DO NOTHING
        """,
        "paid": f"""
            UPDATE credit_accounts a SET balance = a.balance - total.charged, held = a.held - total.amount
            FROM (SELECT coalesce(sum(charged), 0) AS charged, sum(amount) AS amount FROM ended) total
            WHERE a.organization_id = {organization} AND total.amount IS NOT NULL
        """,
        "entries": f"""
            INSERT INTO ledger_entries (kind, reference, amount, balance_after, is_estimated, description, quantities,
                                        {_ATTRIBUTION})
            SELECT '{EntryKind.CHARGE}', ended.reference, -ended.charged,
                   {account}.balance - sum(ended.charged) OVER (ORDER BY ended.position), ended.is_estimated,
                   ended.description, ({sums_sql(f"{uses} u WHERE u.reference = ended.reference")}),
                   {", ".join(f"ended.{name}" for name in ATTRIBUTION_COLUMNS)}
            FROM ended, {account} WHERE ended.charged IS NOT NULL ORDER BY ended.position
        """,
    }
