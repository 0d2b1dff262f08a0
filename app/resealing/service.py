"""Seals stored values again with SECRET_KEY, so that the key from before can be dropped."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.database import Database, Transaction
from app.core.sealed_columns import SealedColumn
from app.core.secret_keys import SecretKeys
from app.resealing import repository

_BATCH = 200


@dataclass(frozen=True)
class Needed:
    """How many stored values need which key.

    Attributes:
        current: SECRET_KEY.
        accepted: SECRET_KEY_ACCEPTED.
        unknown: a key that the settings do not have.
    """

    current: int = 0
    accepted: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Resealed:
    """What became of the values of one column that were not sealed with SECRET_KEY.

    Attributes:
        column: its name, with that of the table.
        resealed: how many are now.
        unreadable: the ids of rows whose values no key of the settings opens; they stay as they are.
    """

    column: str
    resealed: int
    unreadable: Sequence[str]


async def keys_needed(tx: Transaction, keys: SecretKeys, columns: Sequence[SealedColumn]) -> Needed:
    """How many values of the columns need which key."""
    current = accepted = unknown = 0
    for column in columns:
        for prefix, count in (await repository.count_by_prefix(tx, column)).items():
            if prefix == keys.prefix:
                current += count
            elif prefix in keys.accepted_prefixes:
                accepted += count
            else:
                unknown += count
    return Needed(current, accepted, unknown)


async def reseal(database: Database, keys: SecretKeys, columns: Sequence[SealedColumn]) -> Sequence[Resealed]:
    """Seal all values of the columns with SECRET_KEY that are sealed with another key.

    It can run at any time, several times at once, and goes on where it was if it is killed: each batch is a transaction
    of its own, and a value that has changed meanwhile is left to whoever has changed it.
    """
    return [await _reseal(database, keys, column) for column in columns]


async def _reseal(database: Database, keys: SecretKeys, column: SealedColumn) -> Resealed:
    resealed, unreadable, after = 0, [], ""
    while True:
        async with database.transaction() as tx:
            found = await repository.find_sealed_otherwise(tx, column, keys.prefix, after=after, most=_BATCH)
            for row_id, sealed in found:
                text = column.unseal(keys, row_id, sealed)
                if text is None:
                    unreadable.append(row_id)
                elif await repository.replace_sealed(tx, column, row_id, sealed, column.seal(keys, row_id, text)):
                    resealed += 1
        if len(found) < _BATCH:
            return Resealed(f"{column.table}.{column.column}", resealed, unreadable)
        after = found[-1][0]
