"""Whether what a process remembers of the agents and of the catalog is still what Postgres has.

A process reads the version of a configuration before the configuration itself, and remembers both. The statement that
admits a turn compares the version again. So no turn is ever admitted with an agent or at a price that was changed
before it, although nothing is read for that, and whether or not a notification of the change has arrived.
"""

from app.configuration import repository
from app.core.database import Transaction


async def read_version(tx: Transaction, organization_id: str) -> int:
    """The version that the organization's configuration has now. Read it before the configuration."""
    return await repository.find_version(tx, organization_id)
