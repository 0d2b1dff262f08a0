import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import orjson

from app.agents.tools.protocol import ToolCall, ToolEntry, ToolFactory, ToolMaker, ToolPorts, ToolTurn, specification
from app.catalog import service as catalog
from app.catalog.errors import ModelNotPricedError, UnknownModelError
from app.catalog.models import Model
from app.content import service as content
from app.content.errors import ContentNotFoundError
from app.content.service import ContentWithOutputs
from app.content.urls import FileUrls
from app.core.database import Database, Transaction
from app.core.json import UnstorableJsonError, storable_json, storable_text
from app.core.settings import Settings
from app.credits.errors import InsufficientCreditsError, MaxCreditsReachedError
from app.generations import service as generations
from app.generations.service import GenerationPolicy, GenerationRequest
from app.queue.protocol import WakeQueue

_NAME = "replicate_generate"
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
# A version has 64 digits; owners and names are much shorter than the rest.
_LONGEST_NAME = 256


@dataclass(frozen=True)
class ReplicateGenerate:
    """Generates media with one of the catalog's models, and waits up to `wait_seconds` for the outputs."""

    database: Database
    queue: WakeQueue
    urls: FileUrls
    policy: GenerationPolicy
    wait_seconds: float
    models: Sequence[Model]
    turn: ToolTurn

    @property
    def specification(self) -> dict[str, Any]:
        offered = "\n".join(f"- {model.name}: {model.description}" for model in self.models)
        return specification(
            _NAME,
            f"Generate an image, a video, audio or a 3D model. The models:\n{offered}",
            {
                "model": {"type": "string", "description": "owner/name, owner/name:version or a version"},
                "input": {"type": "object", "description": "The model's input, such as prompt"},
            },
            required=["model", "input"],
        )

    async def run(self, call: ToolCall) -> str:
        """Request the generation and wait until it has ended or the time is up."""
        model, values = call.arguments.get("model"), call.arguments.get("input")
        if not isinstance(model, str) or not isinstance(values, dict):
            return _result(error=f"{_NAME} needs model (a string) and input (an object)")
        try:
            if len(model) > _LONGEST_NAME or model != storable_text(model):
                raise UnknownModelError
            # Before it is known: what was asked for may have been stored although the answer is lost.
            self.turn.generations.append(model)
            async with self._spending(), self.database.transaction() as tx:
                requested = await generations.request_generation(
                    tx, self.queue, self.policy, self._request(model, values)
                )
        except UnstorableJsonError as error:
            return _result(error=f"The input {error}.")
        except UnknownModelError:
            name = storable_text(model[:_LONGEST_NAME])
            return _result(error=f"There is no model {name}.", models=[offered.name for offered in self.models])
        except MaxCreditsReachedError:
            raise
        except (ModelNotPricedError, InsufficientCreditsError) as refusal:
            return _result(error=refusal.text)
        try:
            return self._describe(await self._wait_for(str(requested.id)))
        except ContentNotFoundError:
            # Another Postgres has taken over, which had not got to know of it.
            return _result(error="The generation was lost before it had ended. It can be requested again.")

    def _request(self, model: str, values: dict[str, Any]) -> GenerationRequest:
        return GenerationRequest(
            organization_id=self.turn.attribution.organization_id,
            user_id=self.turn.user_id,
            session_id=self.turn.attribution.session_id,
            turn_id=self.turn.attribution.turn_id,
            model=model,
            # What is sent to the vendor is what Postgres stores.
            input=orjson.loads(storable_json(values)),
            request_key=self.turn.request_key,
            attribution=self.turn.attribution,
            budget=self.turn.budget,
        )

    def _spending(self) -> AbstractAsyncContextManager[None]:
        return self.turn.budget.spending() if self.turn.budget else nullcontext()

    async def _wait_for(self, content_id: str) -> ContentWithOutputs:
        """The content once it has ended, or its current state when the time is up.

        No connection is held between two looks.
        """
        organization_id = self.turn.attribution.organization_id
        give_up_at = monotonic() + self.wait_seconds
        pause = _FIRST_PAUSE_SECONDS
        while monotonic() + pause <= give_up_at:
            await asyncio.sleep(pause)
            if await content.has_ended(self.database, organization_id, content_id):
                break
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        async with self.database.transaction() as tx:
            return await content.get_content(tx, organization_id, content_id)

    def _describe(self, item: ContentWithOutputs) -> str:
        found = item.content
        values: dict[str, Any] = {"id": str(found.id), "status": found.status, "content_type": found.content_type}
        if item.outputs:
            first, *further = [self.urls.of(found, output) for output in item.outputs]
            values |= {"storage_url": first} | ({"additional_storage_urls": further} if further else {})
        if found.error_message:
            values["error"] = found.error_message
        return _result(**values)


def _result(**values: Any) -> str:
    return orjson.dumps(values).decode()


@asynccontextmanager
async def _open_factory(settings: Settings, ports: ToolPorts) -> AsyncIterator[ToolFactory]:
    policy = GenerationPolicy.of(settings)

    async def load(tx: Transaction) -> ToolMaker:
        return partial(
            ReplicateGenerate,
            ports.database,
            ports.queue,
            ports.urls,
            policy,
            settings.generation_wait_seconds,
            await catalog.list_generation_models(tx),
        )

    yield load


ENTRY = ToolEntry(
    _NAME, _open_factory, summary="Makes pictures, videos, sounds and 3D models with the catalog's models"
)
