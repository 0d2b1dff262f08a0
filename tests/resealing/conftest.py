from collections.abc import AsyncIterator

import pytest

from app.core.database import Database
from app.core.sealed_columns import SealedColumn
from app.core.secret_keys import SecretKeys

COLUMN = SealedColumn("sealed_of_the_tests", "secret")
OTHER_COLUMN = SealedColumn("sealed_of_the_tests", "further")
OLD = SecretKeys(b"the key from before")
CHANGED = SecretKeys(b"the key from now on", (b"the key from before",))
NEW = SecretKeys(b"the key from now on")


@pytest.fixture
async def rows(database: Database) -> AsyncIterator[list[str]]:
    """The ids of rows in a table of the test's own: more than a batch, sealed with the old key."""
    ids = [f"row-{number:03}" for number in range(450)]
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE sealed_of_the_tests (id text PRIMARY KEY, secret bytea, further bytea)")
        sealed = [COLUMN.seal(OLD, row_id, f"secret of {row_id}") for row_id in ids]
        await tx.execute("INSERT INTO sealed_of_the_tests SELECT * FROM unnest($1::text[], $2::bytea[])", ids, sealed)
    yield ids
    async with database.transaction() as tx:
        await tx.execute("DROP TABLE sealed_of_the_tests")
