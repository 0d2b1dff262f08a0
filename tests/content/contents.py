"""Contents in a state of the test's choosing, which the worker leaves alone."""

import hashlib
import uuid
from datetime import timedelta
from typing import Any

from app.catalog import service as catalog
from app.core.clock import now
from app.core.database import Database
from app.generations.models import Generation, Output
from tests.factories import Organization

MODEL = "simulator/image"
_FAR = timedelta(days=1)


async def insert_content(
    database: Database, organization: Organization, status: str = "completed", **values: Any
) -> Generation:
    """A content of the organization's in that state, with these values instead of the usual ones.

    Its next step is a day away, so that no worker takes it up.
    """
    columns = {
        "user_id": organization.user_id,
        "model": MODEL,
        "input": {"prompt": "a lighthouse"},
        "prompt": "a lighthouse",
        "max_retries": 3,
        "due_at": now() + _FAR,
        "deadline_at": now() + _FAR,
        "file_token": uuid.uuid4().hex,
    }
    content = Generation(
        id=uuid.uuid4(), organization_id=organization.id, status=status, **columns | _of_status(status) | values
    )
    async with database.transaction() as tx:
        content.price_id = (await catalog.get_generation_model(tx, MODEL)).price.id
        tx.session.add(content)
        if status == "completed":
            await tx.session.flush()
            tx.session.add(_output(content))
    return content


def _of_status(status: str) -> dict[str, Any]:
    started = {"started_at": now(), "prediction_id": uuid.uuid4().hex}
    ended = started | {"completed_at": now()}
    return {
        "pending": {},
        "processing": started,
        "completed": ended | {"content_type": "image", "credit_cost": 0.05, "output_url": "https://example.com/a.png"},
        "failed": ended | {"credit_cost": 0, "error_message": "NSFW content detected"},
    }[status]


def _output(content: Generation) -> Output:
    return Output(
        generation_id=content.id,
        attempt=content.retry_count or 0,
        position=0,
        storage_path=f"generation/{content.content_type}/{content.id.hex}.png",
        content_type=content.content_type,
        media_type="image/png",
        size_bytes=3,
        sha256=hashlib.sha256(b"png").hexdigest(),
    )
