"""The clients of a run: each request is sent at its time until it has its answer, and what failed is retried once."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from itertools import count
from time import monotonic
from typing import Any

import httpx

from chaos.asked import Asked, Delivery, Sent
from chaos.chatting import Chat, Reply, send
from chaos.organizations import Organization
from chaos.plan import KEYED, Plan, Request, Way
from chaos.strikes import APIS

# Longer than all strikes and the lease of an Idempotency-Key whose process was killed by the last of them. It begins
# again with every answer that any client gets, since a slow machine is no reason to give up; but a machine that is too
# slow for turns to end within their time limit never gets through.
_PATIENCE_SECONDS = 200.0
_MOST_PATIENCE_SECONDS = 900.0
_BETWEEN_TRIES_SECONDS = 0.7
_RETRY_SECONDS = 1.5
_API = "/api/external"
_STREAMED = (Way.STREAM, Way.HANGUP, Way.CUT)


class Clients:
    """Sends the plan's requests, and retries contents that have failed.

    Attributes:
        asked: What was sent and received so far.
        in_need: Organizations that were refused for want of credits, and have got none since.
    """

    def __init__(
        self, api_urls: dict[str, str], organizations: Sequence[Organization], http: httpx.AsyncClient, began: float
    ) -> None:
        self.asked = Asked()
        self.in_need: set[str] = set()
        self._api_urls = api_urls
        self._organizations = organizations
        self._http = http
        self._began = began
        self._answered_at = began
        self._numbers = count()

    async def ask_all(self, plan: Plan) -> None:
        """Send every request at its time, and return when each has its answer or was given up."""
        async with asyncio.TaskGroup() as group:
            for request in plan.requests:
                await asyncio.sleep(max(0.0, self._began + request.at - monotonic()))
                group.create_task(self._ask(request))

    async def retry_failed(self) -> None:
        """Retry each content that has failed, once, for ever; cancel it to end it."""
        retried: set[str] = set()
        while True:
            for organization in self._organizations:
                for content_id in await self._failed(organization):
                    if content_id not in retried and await self._retry(organization, content_id):
                        retried.add(content_id)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _ask(self, request: Request) -> None:
        apis = [request.api, *(api for api in APIS if api != request.api)]
        copies = apis if request.way is Way.KEYED_TWICE else apis[:1]
        done = await asyncio.gather(*(self._ask_until_answered(request, api) for api in copies))
        if request.way in KEYED:
            # A repeated request gets the stored response, from either process.
            done = [*done, await self._ask_until_answered(request, apis[1])]
        if not all(done):
            self.asked.never_answered.append(request.number)

    async def _ask_until_answered(self, request: Request, first_api: str) -> bool:
        began = monotonic()
        number = APIS.index(first_api)
        while monotonic() < min(max(began, self._answered_at) + _PATIENCE_SECONDS, began + _MOST_PATIENCE_SECONDS):
            if await self._try(request, APIS[number % len(APIS)]):
                self._answered_at = monotonic()
                return True
            number += 1
            await asyncio.sleep(_BETWEEN_TRIES_SECONDS)
        return False

    async def _try(self, request: Request, api: str) -> bool:
        organization = self._organizations[request.organization]
        serial = next(self._numbers)
        marker = f"{request.number}.0" if request.way in KEYED else f"{request.number}.{serial + 1}"
        sent_at = monotonic() - self._began
        reply = await send(self._http, self._chat(request, organization, api, marker, serial))
        self.asked.count(request.way, reply.status)
        self.asked.sent.append(Sent(marker, api, sent_at, monotonic() - self._began, reply.status))
        if reply.id:
            self.asked.delivered.append(_delivery(marker, organization, reply))
        if reply.status == HTTPStatus.PAYMENT_REQUIRED:
            self._note_need(organization, "chat")
        elif request.model and reply.lacks_credits:
            self._note_need(organization, "tool")
        return _is_answered(request, reply)

    def _chat(self, request: Request, organization: Organization, api: str, marker: str, serial: int) -> Chat:
        headers = {"X-API-Key": organization.api_key, "X-Request-ID": f"chaos-{marker}-{serial}"}
        if request.way in KEYED:
            headers["Idempotency-Key"] = f"request {request.number}"
        agents = {Way.CUT: "agent/cut", Way.SILENT: "agent/silent"}
        body: dict[str, Any] = {
            "model": agents.get(request.way, "junis-orchestrator"),
            # The marker is not among the last words, so that equal prompts make equal inputs.
            "messages": [
                {"role": "user", "content": f"[chaos {marker}]"},
                {"role": "user", "content": request.prompt},
            ],
        }
        if request.way in _STREAMED:
            body["stream"] = True
        hangs_up_after = 3 + request.number % 25 if request.way is Way.HANGUP else None
        return Chat(f"{self._api_urls[api]}{_API}/v1/chat/completions", headers, body, hangs_up_after)

    def _note_need(self, organization: Organization, way: str) -> None:
        self.asked.poor[way] += 1
        self.in_need.add(organization.id)

    async def _failed(self, organization: Organization) -> list[str]:
        try:
            response = await self._http.get(
                f"{self._any_api}{_API}/content",
                params={"status": "failed", "page_size": 100},
                headers={"X-API-Key": organization.api_key},
            )
            return [item["id"] for item in response.raise_for_status().json()["items"]]
        except httpx.HTTPError:
            return []

    async def _retry(self, organization: Organization, content_id: str) -> bool:
        try:
            response = await self._http.post(
                f"{self._any_api}{_API}/content/{content_id}/retry", headers={"X-API-Key": organization.api_key}
            )
        except httpx.HTTPError:
            self.asked.count("retry", None)
            return False
        self.asked.count("retry", response.status_code)
        if response.status_code == HTTPStatus.PAYMENT_REQUIRED:
            self._note_need(organization, "retry")
        return response.status_code == HTTPStatus.OK

    @property
    def _any_api(self) -> str:
        return self._api_urls[APIS[next(self._numbers) % len(APIS)]]


def _delivery(marker: str, organization: Organization, reply: Reply) -> Delivery:
    return Delivery(
        marker=marker,
        organization_id=organization.id,
        turn=reply.turn,
        is_complete=reply.is_complete,
        size=len(reply.text.encode()),
        contents=reply.contents,
        is_replayed=reply.is_replayed,
    )


def _is_answered(request: Request, reply: Reply) -> bool:
    """Whether the client is content with a reply: with any beginning if the answer was to end early."""
    if request.way in {Way.HANGUP, Way.CUT}:
        return bool(reply.text)
    if not reply.is_complete:
        return False
    # A keyed request has no second try: a stored response comes again.
    return request.model is None or request.way in KEYED or bool(reply.contents)
