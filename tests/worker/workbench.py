"""Requests generations as an agent's tool does, and shows what database, vendor and store know about them."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy.orm import undefer

from app.api_keys.service import find_caller
from app.content import service as content
from app.content.announcing import ContentAnnouncer
from app.content.service import Retrier
from app.content.urls import FileUrls
from app.core.crypto import sha256
from app.generations import service as generations
from app.generations.models import Generation
from app.generations.service import GenerationPolicy, GenerationRequest
from app.generations.states import Status
from app.resources import Resources, open_resources
from tests import factories
from tests.core.sites import settings_of
from tests.factories import Organization
from tests.vendors_simulator import VendorsSimulator

_PATIENCE_SECONDS = 60  # only a failing test takes this long
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Workbench:
    """An organization's generations. Each has a prompt of its own, by which it is found at the vendor."""

    resources: Resources
    vendors: VendorsSimulator
    organization: Organization

    @property
    def announce(self) -> ContentAnnouncer:
        """Tells those who want to know of the ends of generations, as the worker does."""
        return ContentAnnouncer(FileUrls(self.resources.store, self.resources.settings.public_url))

    async def ask(self, model: str, **values: Any) -> str:
        """Request a generation, and price its model if it has no price yet. Returns the generation's id."""
        await self.price(model)
        request = GenerationRequest(
            organization_id=self.organization.id,
            user_id=self.organization.user_id,
            session_id=None,
            turn_id=None,
            model=model,
            input={"prompt": f"a lighthouse {secrets.token_hex(8)}", **values},
        )
        async with self.resources.database.transaction() as tx:
            asked = await generations.request_generation(
                tx, self.resources.queue, GenerationPolicy.of(self.resources.settings), request
            )
        return str(asked.id)

    async def retry(self, content_id: str) -> None:
        """Retry a failed content."""
        async with self.resources.database.transaction() as tx:
            caller = await find_caller(tx, sha256(self.organization.api_key))
            policy = GenerationPolicy.of(self.resources.settings)
            await content.retry(tx, self.resources.queue, policy, Retrier.of(caller), content_id)

    async def row(self, content_id: str) -> Generation:
        """The content as the database has it."""
        columns = (undefer(Generation.input), undefer(Generation.prompt), undefer(Generation.outcome))
        async with self.resources.database.transaction() as tx:
            return await tx.session.get_one(Generation, uuid.UUID(content_id), options=columns)

    async def until(
        self, content_id: str, is_so: Callable[[Generation], bool], *, is_hurried: bool = False
    ) -> Generation:
        """The content once `is_so` is true of it. If `is_hurried`, the worker's pauses for it are cut short."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                row = await self.row(content_id)
                if is_so(row):
                    return row
                if is_hurried:
                    await self._shorten_pause(content_id)
                await asyncio.sleep(_LOOK_SECONDS)

    async def until_ended(self, content_id: str, *, is_hurried: bool = True) -> Generation:
        """The content once it is completed or failed."""
        return await self.until(
            content_id, lambda row: row.status in {Status.COMPLETED, Status.FAILED}, is_hurried=is_hurried
        )

    async def until_started(self, content_id: str) -> Generation:
        """The content once its prediction is known."""
        return await self.until(content_id, lambda row: row.prediction_id is not None)

    async def until_requested(self, content_id: str) -> None:
        """Wait until the vendor has received a create call for it, whether or not the worker gets the response."""
        await self.until(content_id, lambda row: any(entry["id"] or "status" in entry for entry in self._requests(row)))

    async def until_delivered(self, content_id: str, *, times: int) -> None:
        """Wait until the content's file has been requested `times` times from the delivery host."""
        await self.until(content_id, lambda row: self._deliveries(row) >= times, is_hurried=True)

    async def until_copying(self, content_id: str) -> None:
        """Wait until a worker is about to write the content's file: it reserves the path just before."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                if await self.reserved(content_id):
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    def order_fault(self, fault: str, *, nth: int) -> None:
        """Have the vendor make this fault once, at the nth request from now that the fault applies to."""
        rule = {"fault": fault, "match": {"nth": nth}, "times": 1}
        httpx.post(f"{self.vendors.url}/_sim/faults", json=rule).raise_for_status()

    async def let_lease_run_out(self, content_id: str) -> None:
        """Let the attempt's lease end, as if its worker had been silent for that long."""
        await self.execute("UPDATE generations SET due_at = now() - interval '2 s' WHERE id = $1", content_id)

    async def let_deadline_pass(self, content_id: str) -> None:
        """Let the attempt reach its deadline."""
        await self.execute(
            "UPDATE generations SET deadline_at = now(), due_at = now() - interval '2 s' WHERE id = $1",
            content_id,
        )

    async def let_writers_be_gone(self, content_id: str) -> None:
        """Let so much time have passed since its attempts ended that the sweeper expects nobody to write for them."""
        await self.execute(
            "UPDATE attempts SET ended_at = ended_at - interval '1 day' WHERE generation_id = $1", content_id
        )

    async def execute(self, statement: str, content_id: str) -> None:
        """Execute a statement whose first parameter is the content's id."""
        async with self.resources.database.transaction() as tx:
            await tx.execute(statement, uuid.UUID(content_id))

    async def charges(self, content_id: str) -> list[Decimal]:
        """The amounts that were charged for the content, one for each ledger entry."""
        async with self.resources.database.transaction() as tx:
            rows = await tx.fetch(
                "SELECT -amount AS charged FROM ledger_entries WHERE kind = 'charge' AND reference LIKE $1",
                f"generation:{content_id}:%",
            )
        return [row["charged"] for row in rows]

    async def held(self, content_id: str) -> Decimal:
        """The credits that are held for the content now."""
        async with self.resources.database.transaction() as tx:
            held: Decimal = await tx.fetchval(
                "SELECT coalesce(sum(amount), 0) FROM credit_holds WHERE state = 'open' AND reference LIKE $1",
                f"generation:{content_id}:%",
            )
        return held

    async def predictions(self, content_id: str) -> list[dict[str, Any]]:
        """The vendor's predictions with the content's input, as they are now."""
        asked = (await self.row(content_id)).input
        async with httpx.AsyncClient() as client:
            response = await client.get(f"{self.vendors.url}/_sim/predictions")
        return [prediction for prediction in response.json()["predictions"] if prediction["input"] == asked]

    async def output(self, content_id: str) -> Any:
        """The output of the vendor's only prediction for it."""
        (prediction,) = await self.predictions(content_id)
        return prediction["output"]

    async def creations(self, content_id: str) -> list[int | None]:
        """The status of the vendor's response to each create call for it; None if there was no response."""
        return [entry.get("status") for entry in self._requests(await self.row(content_id))]

    async def objects(self, content_id: str) -> list[str]:
        """The paths in the store that begin with the content's id."""
        prefix = content_id[:8]
        folder = self.resources.settings.local_storage_dir
        paths = (path.relative_to(folder).as_posix() for path in folder.rglob(f"{prefix}*") if path.is_file())
        return sorted(path for path in paths if path.startswith("generation/"))

    async def reserved(self, content_id: str) -> list[str]:
        """The paths that are reserved for the content, whether there are objects or not."""
        async with self.resources.database.transaction() as tx:
            rows = await tx.fetch(
                "SELECT storage_path FROM outputs WHERE generation_id = $1 ORDER BY position",
                uuid.UUID(content_id),
            )
        return [row["storage_path"] for row in rows]

    async def stored(self, path: str) -> bytes:
        """The bytes of an object."""
        return b"".join([chunk async for chunk in self.resources.store.read(path)])

    async def delivered(self, content_id: str) -> bytes:
        """The bytes that the delivery host has for the content now."""
        url = (await self.row(content_id)).output_url or ""
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).raise_for_status().content

    def _requests(self, row: Generation) -> list[dict[str, Any]]:
        return [entry for entry in self.vendors.log("prediction") if entry["input"] == row.input]

    def _deliveries(self, row: Generation) -> int:
        asked = [entry.get("prediction_id") for entry in self.vendors.log("delivery")]
        return asked.count(row.prediction_id)

    async def _shorten_pause(self, content_id: str) -> None:
        # The pause of an interrupted copy lasts some seconds; a due time much later is the lease of a running copy.
        await self.execute(
            "UPDATE generations SET due_at = now() - interval '2 s' WHERE id = $1 AND due_at > now()"
            " AND (status = 'pending' OR outcome IS NOT NULL AND due_at < now() + interval '9 s')",
            content_id,
        )

    async def price(self, model: str) -> None:
        """Price a model that has no price yet."""
        async with self.resources.database.transaction() as tx:
            is_priced = await tx.fetchval("SELECT EXISTS (SELECT FROM models WHERE name = $1)", model)
        if not is_priced:
            await factories.price_models(self.resources.database, model)


@asynccontextmanager
async def open_workbench(environment: dict[str, str], vendors: VendorsSimulator) -> AsyncIterator[Workbench]:
    """The workbench of a new organization, over the database, queue and store that the settings name."""
    async with open_resources(settings_of(environment)) as resources:
        yield Workbench(resources, vendors, await factories.make_organization(resources.database))
