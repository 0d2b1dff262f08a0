"""The SQL of sealed values: which key they need, and their replacement."""

from collections.abc import Mapping, Sequence

from app.core.database import Transaction
from app.core.sealed_columns import SealedColumn
from app.core.secret_keys import PREFIX_BYTES


async def count_by_prefix(tx: Transaction, column: SealedColumn) -> Mapping[bytes, int]:
    """How many values there are of each key, by what they begin with."""
    rows = await tx.fetch(
        f"SELECT substring({column.column} FROM 1 FOR {PREFIX_BYTES}) AS prefix, count(*) AS n FROM {column.table}"
        f" WHERE {column.column} IS NOT NULL GROUP BY 1"
    )
    return {row["prefix"]: row["n"] for row in rows}


async def find_sealed_otherwise(
    tx: Transaction, column: SealedColumn, prefix: bytes, *, after: str, most: int
) -> Sequence[tuple[str, bytes]]:
    """The ids and values of rows that are not sealed with this key, in the order of their ids."""
    rows = await tx.fetch(
        f"SELECT {column.key} AS id, {column.column} AS sealed FROM {column.table} WHERE {column.key} > $1"
        f" AND substring({column.column} FROM 1 FOR {PREFIX_BYTES}) <> $2 ORDER BY {column.key} LIMIT $3",
        after,
        prefix,
        most,
    )
    return [(row["id"], row["sealed"]) for row in rows]


async def replace_sealed(tx: Transaction, column: SealedColumn, row_id: str, before: bytes, value: bytes) -> bool:
    """Replace a value unless it has changed meanwhile. Returns whether it was."""
    replaced = await tx.fetchval(
        f"UPDATE {column.table} SET {column.column} = $3 WHERE {column.key} = $1 AND {column.column} = $2 RETURNING 1",
        row_id,
        before,
        value,
    )
    return replaced is not None
