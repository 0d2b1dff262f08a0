"""Contents with all that the console shows of them: whose they are, their attempts, and what they cost."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.core.attribution import Attribution
from app.core.database import Database
from app.generations import service as generations
from app.generations.models import Generation, GenerationAttempt
from app.generations.service import GenerationPolicy, GenerationRequest
from app.resources import open_resources
from tests.conftest import Stack
from tests.content.contents import insert_content
from tests.core.sites import settings_of
from tests.factories import Organization
from tests.worker.workbench import Workbench


async def add_content(
    database: Database,
    organization: Organization,
    status: str = "completed",
    *,
    agent: str | None = None,
    key_id: str | None = None,
    **values: Any,
) -> Generation:
    """A content in this state that nobody changes, with the row of its first attempt."""
    content = await insert_content(database, organization, status, **values)
    async with database.transaction() as tx:
        tx.session.add(
            GenerationAttempt(
                generation_id=content.id,
                number=0,
                organization_id=organization.id,
                user_id=content.user_id,
                agent=agent,
                api_key_id=key_id,
                model=content.model,
                created_at=content.created_at,
                prediction_id=content.prediction_id,
                started_at=content.started_at,
                ended_at=content.completed_at,
                ending=status if content.completed_at else None,
                error_message=content.error_message,
            )
        )
    return content


@dataclass(frozen=True)
class Maker:
    """Has the running product generate something for an organization, as one of its agents does."""

    bench: Workbench

    async def ask(
        self, model: str, prompt: str, *, agent: str = "illustrator", user_id: str | None = None, **values: Any
    ) -> str:
        """Request a generation and price its model if it has no price yet. Returns the content's id."""
        await self.bench.price(model)
        organization, resources = self.bench.organization, self.bench.resources
        user_id = user_id or organization.user_id
        request = GenerationRequest(
            organization_id=organization.id,
            user_id=user_id,
            session_id=None,
            turn_id=None,
            model=model,
            input={"prompt": prompt, "seed": 7, **values},
            attribution=Attribution(
                organization_id=organization.id, user_id=user_id, agent=agent, request_id=f"req_{uuid.uuid4().hex[:12]}"
            ),
        )
        async with resources.database.transaction() as tx:
            asked = await generations.request_generation(
                tx, resources.queue, GenerationPolicy.of(resources.settings), request
            )
        return str(asked.id)

    async def make(self, model: str, prompt: str, **values: Any) -> str:
        """Request a generation and wait until it has ended. Returns the content's id."""
        asked = await self.ask(model, prompt, **values)
        await self.bench.until_ended(asked)
        return asked


@asynccontextmanager
async def open_maker(stack: Stack, organization: Organization) -> AsyncIterator[Maker]:
    """A maker for the organization."""
    async with open_resources(settings_of(stack.environment)) as resources:
        yield Maker(Workbench(resources, stack.simulator, organization))
