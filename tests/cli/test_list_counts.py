from tests.cli.conftest import Junis
from tests.cli.databases import execute, query

_ADD_SESSIONS = """
INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, last_turn_failed)
SELECT gen_random_uuid(), o.id, u.id, 'session-' || n, 0, false
FROM organizations o, users u, generate_series(1, 3) n
"""
_TOTALS = """
SELECT list, sum(n)::bigint FROM (
    SELECT list, total AS n FROM list_counts UNION ALL SELECT list, change FROM list_count_changes
) counted GROUP BY 1
"""


def test_totals_that_are_wrong_are_found_and_counted_again(database_url: str, acme: str, junis: Junis) -> None:
    execute(database_url, _ADD_SESSIONS)
    execute(database_url, "DELETE FROM list_count_changes")

    wrong = junis("verify-ledger")
    counted = junis("count-lists")
    again = junis("count-lists")

    assert wrong.status == 1
    assert f"{acme}: of the list 'sessions', 0 rows are counted for the user" in wrong.stdout
    assert (counted.status, counted.stderr) == (0, "Counted; totals that were wrong: 1\n")
    assert (again.status, again.stderr) == (0, "Counted; totals that were wrong: 0\n")
    assert query(database_url, _TOTALS) == [("sessions", 3)]
    assert junis("verify-ledger").status == 0
