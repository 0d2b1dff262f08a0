"""The key of a crashed request, whose lease has run out: only the same request may take it over."""

import hashlib
import uuid
from datetime import timedelta

import httpx
import pytest

from app.core.database import Database
from tests.factories import Organization
from tests.idempotency.asking import new_key

_CRASHED = """
INSERT INTO idempotency_keys (organization_id, route, key, request_hash, claim_id, lease_until, expires_at)
VALUES ($1, 'POST /api/external/content/{content_id}/retry', $2, $3, 'of-the-crashed', now() + $4,
        now() + interval '1 day')
"""


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
    is_same: bool,
    seconds_left: int,
    response: tuple[int, str | None],
) -> None:
    content_id, key = uuid.uuid4(), new_key()
    crashed = content_id if is_same else uuid.uuid4()
    request_hash = hashlib.sha256(f"/api/external/content/{crashed}/retry\0".encode()).digest()
    async with database.transaction() as tx:
        await tx.execute(_CRASHED, organization.id, key, request_hash, timedelta(seconds=seconds_left))

    # The content does not exist, which is found out once the key is claimed.
    refused = await client.post(f"/content/{content_id}/retry", headers={"Idempotency-Key": key})

    assert (refused.status_code, refused.json().get("error", {}).get("code")) == response
