from dataclasses import dataclass

from app.core.database import Transaction


@dataclass(frozen=True)
class Progress:
    """How far an organization has come.

    Attributes:
        has_key: whether it has a key that works.
        has_content: whether something was generated for it.
        has_members: whether it has more than one member.
        agents: how many agents it has, counted up to 100.
        models: how many models are in the catalog.
    """

    has_key: bool
    has_content: bool
    has_members: bool
    agents: int
    models: int


_PROGRESS = """
SELECT EXISTS (SELECT FROM api_keys WHERE organization_id = $1 AND revoked_at IS NULL
                  AND (expires_at IS NULL OR expires_at > now())) AS has_key,
       EXISTS (SELECT FROM generations WHERE organization_id = $1) AS has_content,
       EXISTS (SELECT FROM memberships WHERE organization_id = $1 OFFSET 1) AS has_members,
       (SELECT count(*) FROM (SELECT FROM agents WHERE organization_id = $1 LIMIT 100) AS found) AS agents,
       (SELECT count(*) FROM models) AS models
"""


async def read_progress(tx: Transaction, organization_id: str) -> Progress:
    """How far the organization has come."""
    row = await tx.fetchrow(_PROGRESS, organization_id)
    assert row is not None  # noqa: S101 - the statement always has one row
    return Progress(**row)
