from app.configuration.fragments import version
from app.core.database import Transaction

_VERSION = f"SELECT {version('$1')}"


async def find_version(tx: Transaction, organization_id: str) -> int:
    """The version that the organization's configuration has now."""
    found: int = await tx.fetchval(_VERSION, organization_id)
    return found
