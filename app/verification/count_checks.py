"""A check that the totals of lists are those of the tables: each count with the changes that are not in it yet."""

from app.list_counts.repository import ACTUAL, COLUMNS, COUNTED

CHECKS = (
    f"""
    SELECT format('%s: of the list %L, %s rows are counted for the user %L, the status %L and the type %L, but there'
                  ' are %s', organization_id, list, sum(counted), user_id, status, content_type, sum(actual))
    FROM (
        SELECT {COLUMNS}, n AS counted, 0 AS actual FROM ({COUNTED}) counts
        UNION ALL
        SELECT {COLUMNS}, 0, n FROM ({ACTUAL}) actual
    ) both_counts
    GROUP BY {COLUMNS} HAVING sum(counted) <> sum(actual)
    """,
)
