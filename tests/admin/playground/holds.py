from app.core.database import Database
from tests.factories import Organization


async def rows_of(database: Database, host: Organization) -> list[tuple[str | None, str | None, str | None]]:
    """User, key and request of each of the organization's holds."""
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT user_id, api_key_id, request_id FROM credit_holds WHERE organization_id = $1", host.id
        )
    return [(row["user_id"], row["api_key_id"], row["request_id"]) for row in rows]
