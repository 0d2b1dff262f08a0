"""Checks that accounts, holds, entries and content agree. Each query describes each fault of one kind in a sentence."""

from app.core.database import one_of
from app.credits.models import EntryKind, HoldState
from app.credits.references import GENERATIONS_LIKE, LATE, content_id_sql, generation_reference_sql
from app.generations.states import UNENDED, Status

_ATTEMPT = generation_reference_sql("c.id", "c.retry_count")
_CONTENT_ID = content_id_sql("reference")

CHECKS = (
    """
    SELECT format('%s: balance %s, but its entries add up to %s', a.organization_id, a.balance, e.total)
    FROM credit_accounts a
    CROSS JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS total FROM ledger_entries
                        WHERE organization_id = a.organization_id) e
    WHERE a.balance <> e.total
    """,
    f"""
    SELECT format('%s: %s held, but its open holds add up to %s', a.organization_id, a.held, h.total)
    FROM credit_accounts a
    CROSS JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS total FROM credit_holds
                        WHERE organization_id = a.organization_id AND state = '{HoldState.OPEN}') h
    WHERE a.held <> h.total
    """,
    """
    SELECT format('key %s: %s held, but its open holds add up to %s', s.api_key_id, s.held, h.total)
    FROM key_spend s
    CROSS JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS total FROM credit_holds
                        WHERE organization_id = s.organization_id AND api_key_id = s.api_key_id
                          AND state = 'open') h
    WHERE s.held <> h.total
    """,
    """
    SELECT format('key %s: %s spent in %s, but its entries add up to %s', s.api_key_id, s.spent,
                  to_char(s.month, 'YYYY-MM'), e.total)
    FROM key_spend s
    CROSS JOIN LATERAL (SELECT coalesce(-sum(amount), 0) AS total FROM ledger_entries
                        WHERE organization_id = s.organization_id AND api_key_id = s.api_key_id
                          AND created_at >= s.month::timestamp AT TIME ZONE 'UTC'
                          AND created_at < (s.month + interval '1 month') AT TIME ZONE 'UTC') e
    WHERE s.spent <> e.total
    """,
    """
    SELECT format('%s: negative, or more held than there is: balance %s, held %s', organization_id, balance, held)
    FROM credit_accounts WHERE balance < 0 OR held < 0 OR held > balance
    """,
    """
    SELECT format('entry %s: the balance after it is %s, but its entries up to there add up to %s', id, balance_after,
                  total)
    FROM (SELECT id, balance_after, sum(amount) OVER (PARTITION BY organization_id ORDER BY id) AS total
          FROM ledger_entries) running
    WHERE balance_after <> total
    """,
    f"""
    SELECT format('%s: still held, but it expired at %s', reference, expires_at)
    FROM credit_holds WHERE state = '{HoldState.OPEN}' AND expires_at < now() - interval '1 minute'
    """,
    f"""
    SELECT format('%s: charged %s times', reference, count(*))
    FROM ledger_entries WHERE kind = '{EntryKind.CHARGE}' GROUP BY reference HAVING count(*) > 1
    """,
    f"""
    SELECT format('content %s: charged %s times', {_CONTENT_ID}, count(*))
    FROM ledger_entries WHERE kind = '{EntryKind.CHARGE}' AND reference LIKE '{GENERATIONS_LIKE}'
    GROUP BY {_CONTENT_ID} HAVING count(*) > 1
    """,
    f"""
    SELECT format('%s: settled for %s, but its entry says %s', h.reference, h.charged, -e.amount)
    FROM credit_holds h
    LEFT JOIN ledger_entries e ON e.reference = h.reference AND e.organization_id = h.organization_id
                              AND e.kind = '{EntryKind.CHARGE}'
    WHERE h.state = '{HoldState.SETTLED}' AND h.charged IS DISTINCT FROM -e.amount
    """,
    f"""
    SELECT format('%s: charged without a settled hold', e.reference)
    FROM ledger_entries e
    LEFT JOIN credit_holds h ON h.reference = e.reference AND h.organization_id = e.organization_id
                            AND h.state = '{HoldState.SETTLED}'
    LEFT JOIN seal_marks m ON m.organization_id = e.organization_id
    WHERE e.kind = '{EntryKind.CHARGE}' AND e.reference NOT LIKE '{LATE}:%' AND h.id IS NULL
      AND coalesce(e.created_at >= m.pruned_before, true)
    """,
    f"""
    SELECT format('content %s: completed for %s, but charged %s', c.id, c.credit_cost,
                  coalesce((-e.amount)::text, 'nothing'))
    FROM generations c
    LEFT JOIN ledger_entries e ON e.reference = {_ATTEMPT} AND e.kind = '{EntryKind.CHARGE}'
    WHERE c.status = '{Status.COMPLETED}' AND (e.id IS NULL OR c.credit_cost <> -e.amount)
    """,
    f"""
    SELECT format('content %s: it is %s, but was charged %s', c.id, c.status, -sum(e.amount))
    FROM ledger_entries e JOIN generations c ON c.id::text = {content_id_sql("e.reference")}
    WHERE e.kind = '{EntryKind.CHARGE}' AND e.reference LIKE '{GENERATIONS_LIKE}' AND c.status <> '{Status.COMPLETED}'
    GROUP BY c.id, c.status
    """,
    f"""
    SELECT format('%s: held until its content ends, but none of that attempt is under way', h.reference)
    FROM credit_holds h
    LEFT JOIN generations c ON h.reference = {_ATTEMPT}
                                  AND {one_of("c.status", UNENDED)}
    WHERE h.state = '{HoldState.OPEN}' AND h.expires_at IS NULL AND c.id IS NULL
    """,
    f"""
    SELECT format('content %s: it is %s, but nothing is held for it', c.id, c.status)
    FROM generations c
    LEFT JOIN credit_holds h ON h.reference = {_ATTEMPT} AND h.state = '{HoldState.OPEN}'
    WHERE {one_of("c.status", UNENDED)} AND h.id IS NULL
    """,
    """
    SELECT format('%s: the organization has no account', id)
    FROM organizations WHERE id NOT IN (SELECT organization_id FROM credit_accounts)
    """,
)
