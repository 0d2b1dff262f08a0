"""What those are told who want to know that content has ended: what its detail shows at that moment."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from app.content import service
from app.content.schemas import ContentDetail
from app.content.service import ContentWithOutputs
from app.content.urls import FileUrls
from app.core.database import Transaction
from app.generations.states import Status
from app.webhook_endpoints import outbox
from app.webhook_endpoints.models import EventType
from app.webhook_endpoints.outbox import NewEvent

# Inputs may hold whole files. Receivers, and what stands before them, often take no more than this.
_MOST_BYTES: Final = 256 * 1024


@dataclass(frozen=True)
class ContentAnnouncer:
    """Writes an event for each content that has ended; see `app.generations.telling.Announce`."""

    urls: FileUrls

    async def __call__(self, tx: Transaction, organization_id: str, generation_ids: Sequence[uuid.UUID]) -> None:
        """Write the events, with what the contents' details show."""
        found = await service.get_whole_contents(tx, organization_id, generation_ids)
        await outbox.write(tx, organization_id, [self._event_of(each) for each in found])

    def _event_of(self, found: ContentWithOutputs) -> NewEvent:
        is_completed = found.content.status == Status.COMPLETED
        data = ContentDetail.of(found, self.urls).model_dump(mode="json", exclude_unset=True)
        if len(orjson.dumps(data)) > _MOST_BYTES:
            data["replicate_input"] = {}
        kind = EventType.CONTENT_COMPLETED if is_completed else EventType.CONTENT_FAILED
        return NewEvent(kind, str(found.content.id), data)
