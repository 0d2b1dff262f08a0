"""The key of a crashed request, whose lease has run out: only the same request may take it over."""

import hashlib
import uuid
from datetime import timedelta

import httpx
import pytest

from app.core.database import Database
from tests.factories import Organization
from tests.idempotency.asking import new_key

_ROUTE = "POST /api/external/content/{content_id}/retry"
_CRASHED = """
INSERT INTO user_idempotency_keys
    (organization_id, route, key, request_hash, claim_id, lease_until, expires_at, user_id)
VALUES ($1, $2, $3, $4, 'of-the-crashed', now() + $5, now() + interval '1 day', $6)
"""
_CRASHED_IN_OLDER_VERSION = """
INSERT INTO idempotency_keys (organization_id, route, key, request_hash, claim_id, lease_until, expires_at)
SELECT $1, $2, $3, $4, 'of-the-crashed', now() + $5, now() + interval '1 day' WHERE $6 <> ''
"""


@pytest.mark.parametrize("crashed_process", [_CRASHED, _CRASHED_IN_OLDER_VERSION], ids=["ours", "older"])
@pytest.mark.parametrize(
    ("is_same", "seconds_left", "response"),
    [
        (True, -1, (404, None)),
        (False, -1, (409, "idempotency_key_reused")),
        (True, 60, (409, "idempotency_key_in_progress")),
        (False, 60, (409, "idempotency_key_reused")),
    ],
)
async def test_only_the_same_request_takes_over_a_lease_that_has_run_out(
    client: httpx.AsyncClient,
    database: Database,
    organization: Organization,
    crashed_process: str,
    is_same: bool,
    seconds_left: int,
    response: tuple[int, str | None],
) -> None:
    content_id, key = uuid.uuid4(), new_key()
    crashed = content_id if is_same else uuid.uuid4()
    request_hash = hashlib.sha256(f"/api/external/content/{crashed}/retry\0".encode()).digest()
    async with database.transaction() as tx:
        lease = timedelta(seconds=seconds_left)
        await tx.execute(crashed_process, organization.id, _ROUTE, key, request_hash, lease, organization.user_id)

    # The content does not exist, which is found out once the key is claimed.
    refused = await client.post(f"/content/{content_id}/retry", headers={"Idempotency-Key": key})

    assert (refused.status_code, refused.json().get("error", {}).get("code")) == response
