"""The clients of a run: each request is sent at its time until it is accepted, and what failed is retried once."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic

import httpx

from app.core.errors import ServiceUnavailableError
from app.generations import service as generations
from app.generations.service import GenerationPolicy, GenerationRequest
from app.resources import Resources
from chaos.organizations import Organization
from chaos.plan import APIS, Plan, Request, Way
from chaos.plant import Plant

_CHAT_TIMEOUT_SECONDS = 30
_TRIES = 60
_BETWEEN_TRIES_SECONDS = 0.5
_RETRY_SECONDS = 1.0
_NO_ANSWER = "no answer"
_FAILED_ONCE = """
SELECT id::text, organization_id FROM generations WHERE status = 'failed' AND retry_count = 0
"""


@dataclass
class Asked:
    """The results of all requests.

    `accepted` are contents that the database has confirmed. `answers` counts the API's responses to chats and retries
    by way and status. `refused` counts calls of the service while Postgres was away. `never_accepted` are the requests
    that no try succeeded for.
    """

    accepted: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    never_accepted: list[Request] = field(default_factory=list)


class Asker:
    """Requests the plan's generations through the service and through chats."""

    def __init__(
        self, plant: Plant, resources: Resources, organizations: Sequence[Organization], http: httpx.AsyncClient
    ) -> None:
        self._plant = plant
        self._resources = resources
        self._organizations = organizations
        self._http = http
        self.asked = Asked()

    async def ask_all(self, plan: Plan, began: float) -> None:
        """Send every request at its time, counted from `began` by the monotonic clock, until it is accepted."""
        async with asyncio.TaskGroup() as group:
            for request in plan.requests:
                await asyncio.sleep(max(0.0, began + request.at - monotonic()))
                group.create_task(self._ask(request))

    async def retry_failed(self) -> None:
        """Retry what has failed once, for ever; cancel it to end it."""
        keys = {organization.id: organization.api_key for organization in self._organizations}
        while True:
            for content_id, organization_id in await self._failed_once():
                await self._post("retry", APIS[0], f"/content/{content_id}/retry", keys[organization_id], None)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _ask(self, request: Request) -> None:
        ask: Callable[[Request, int], Awaitable[bool]] = (
            self._ask_service if request.way is Way.SERVICE else self._ask_chat
        )
        for number in range(_TRIES):
            if await ask(request, number):
                return
            await asyncio.sleep(_BETWEEN_TRIES_SECONDS)
        self.asked.never_accepted.append(request)

    async def _ask_service(self, request: Request, _number: int) -> bool:
        organization = self._organizations[request.organization]
        wanted = GenerationRequest(
            organization_id=organization.id,
            user_id=organization.user_id,
            session_id=None,
            turn_id=None,
            model=request.model,
            input={"prompt": request.prompt, **({"num_outputs": request.outputs} if request.outputs > 1 else {})},
        )
        try:
            async with self._resources.database.transaction() as tx:
                made = await generations.request_generation(
                    tx, self._resources.queue, GenerationPolicy.of(self._plant.settings), wanted
                )
        except ServiceUnavailableError:
            self.asked.refused += 1
            return False
        self.asked.accepted.append(str(made.id))
        return True

    async def _ask_chat(self, request: Request, number: int) -> bool:
        """Ask the request's API first, then each in turn; what a chat that was cut off has requested ends too."""
        api = APIS[(APIS.index(request.api) + number) % len(APIS)]
        body = {"model": "junis-orchestrator", "messages": [{"role": "user", "content": request.prompt}]}
        key = self._organizations[request.organization].api_key
        return await self._post("chat", api, "/v1/chat/completions", key, body)

    async def _failed_once(self) -> list[tuple[str, str]]:
        try:
            async with self._resources.database.transaction() as tx:
                return [(row["id"], row["organization_id"]) for row in await tx.fetch(_FAILED_ONCE)]
        except ServiceUnavailableError:
            return []

    async def _post(self, way: str, api: str, path: str, api_key: str, body: object) -> bool:
        url = f"{self._plant.api_urls[api]}/api/external{path}"
        try:
            response = await self._http.post(
                url, json=body, headers={"X-API-Key": api_key}, timeout=_CHAT_TIMEOUT_SECONDS
            )
        except httpx.HTTPError:
            self.asked.answers[f"{way}: {_NO_ANSWER}"] += 1
            return False
        self.asked.answers[f"{way}: {response.status_code}"] += 1
        return response.status_code == HTTPStatus.OK
