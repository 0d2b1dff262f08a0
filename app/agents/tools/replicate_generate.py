import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import orjson

from app.agents.tools.names import REPLICATE_GENERATE
from app.catalog.errors import ModelNotPricedError, UnknownModelError
from app.catalog.models import Model
from app.content import service as content
from app.content.service import ContentWithOutputs
from app.content.urls import FileUrls
from app.core.database import Database
from app.core.json import storable_json
from app.core.settings import Settings
from app.credits.errors import InsufficientCreditsError
from app.generations import service as generations
from app.generations.service import GenerationPolicy, GenerationRequest
from app.generations.states import Status
from app.queue.protocol import WakeQueue

_FIRST_LOOK_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class ReplicateGenerate:
    """Has a Replicate model make something, and waits a while for it."""

    database: Database
    queue: WakeQueue
    settings: Settings
    urls: FileUrls
    models: Sequence[Model]
    organization_id: str
    user_id: str
    session_id: uuid.UUID
    turn_id: str
    request_key: bytes | None = None

    @property
    def name(self) -> str:
        return REPLICATE_GENERATE

    @property
    def specification(self) -> dict[str, Any]:
        offered = "\n".join(f"- {model.name}: {model.description}" for model in self.models)
        return {
            "type": "function",
            "function": {
                "name": REPLICATE_GENERATE,
                "description": f"Generate an image, a video, audio or a 3D model. The models:\n{offered}",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "model": {"type": "string", "description": "owner/name, owner/name:version or a version"},
                        "input": {"type": "object", "description": "The model's input, such as prompt"},
                    },
                    "required": ["model", "input"],
                },
            },
        }

    async def run(self, arguments: dict[str, Any]) -> str:
        """Queue the generation and wait for its end, or for as long as the operator lets it."""
        model, values = arguments.get("model"), arguments.get("input")
        if not isinstance(model, str) or not isinstance(values, dict):
            return _say(error="replicate_generate needs model (a string) and input (an object)")
        request = GenerationRequest(
            self.organization_id,
            self.user_id,
            self.session_id,
            self.turn_id,
            model,
            orjson.loads(storable_json(values)),
            self.request_key,
        )
        try:
            async with self.database.transaction() as tx:
                queued = await generations.request_generation(
                    tx, self.queue, GenerationPolicy.of(self.settings), request
                )
        except UnknownModelError:
            return _say(error=f"There is no model {model}.", models=[offered.name for offered in self.models])
        except (ModelNotPricedError, InsufficientCreditsError) as refusal:
            return _say(error=refusal.text)
        return self._report(await self._wait_for(str(queued.id)))

    async def _wait_for(self, content_id: str) -> ContentWithOutputs:
        """The content when it has ended, or as it is when the time is up. No connection is kept between looks."""
        give_up_at = monotonic() + self.settings.generation_wait_seconds
        pause = _FIRST_LOOK_SECONDS
        while True:
            async with self.database.transaction() as tx:
                item = await content.get_content(tx, self.organization_id, content_id)
            if item.content.status in {Status.COMPLETED, Status.FAILED} or monotonic() + pause > give_up_at:
                return item
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def _report(self, item: ContentWithOutputs) -> str:
        found = item.content
        said: dict[str, Any] = {"id": str(found.id), "status": found.status, "content_type": found.content_type}
        if item.outputs:
            urls = [self.urls.of(found, output) for output in item.outputs]
            said |= {"storage_url": urls[0]} | ({"additional_storage_urls": urls[1:]} if urls[1:] else {})
        if found.error_message:
            said["error"] = found.error_message
        return _say(**said)


def _say(**values: Any) -> str:
    return orjson.dumps(values).decode()
