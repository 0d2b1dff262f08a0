"""Columns whose values are sealed with SECRET_KEY.

A feature that stores such a value describes its column once, seals and opens the values by that description, and names
it in `app/resealing/columns.py`, so that they are sealed again when the key is changed.
"""

from dataclasses import dataclass

from app.core.secret_keys import SecretKeys


@dataclass(frozen=True)
class SealedColumn:
    """A column of type `bytea`, which may be null.

    Attributes:
        table: the table.
        column: the column.
        key: the table's primary key, a column of type `text`.
    """

    table: str
    column: str
    key: str = "id"

    def seal(self, keys: SecretKeys, row_id: str, text: str) -> bytes:
        """The value of this row's column. It cannot be opened as that of another row or column."""
        return keys.seal(text, self._context(row_id))

    def unseal(self, keys: SecretKeys, row_id: str, sealed: bytes) -> str | None:
        """What was sealed; None if none of the keys opens it."""
        return keys.unseal(sealed, self._context(row_id))

    def _context(self, row_id: str) -> str:
        return f"{self.table}.{self.column} {row_id}"
