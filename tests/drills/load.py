"""Clients that go on asking for everything, whatever becomes of the servers, and remember what they were told."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx

from tests.drills.outcomes import Outcome, outcome_of
from tests.factories import Organization
from tests.waiting import until

# What clients ask for.
TURNS = ("chat", "stream", "keyed", "generation")
KINDS = (*TURNS, "credits")

_CHAT = "/v1/chat/completions"
_PAUSE_SECONDS = 0.05
# What SDKs wait before they repeat a request, if nothing else is said.
_REPEAT_SECONDS = 0.5
_SECONDS = 60.0
_STREAM_WORDS = 20


class Load:
    """Chats, streams, chats that are repeated with their key, generations, and reads, each by a few clients."""

    def __init__(self, base_urls: Sequence[str], organization: Organization) -> None:
        self.outcomes: list[Outcome] = []
        self._base_urls = base_urls
        self._organization = organization
        self._numbers = count()
        self._name = secrets.token_hex(4)
        self._is_over = False

    def good_since(self, moment: float, kind: str) -> int:
        """How many requests of a kind that began after a moment have gone well."""
        return sum(outcome.is_good and outcome.kind == kind and outcome.began >= moment for outcome in self.outcomes)

    async def is_refused(self, status: int, *, since: float) -> bool:
        """Whether a request that began after a moment was refused with this status."""
        return any(outcome.status == status and outcome.began >= since for outcome in self.outcomes)

    async def until_good(self, *kinds: str, since: float, times: int = 3) -> None:
        """Wait until requests of each kind that began after a moment have gone well so many times."""

        async def are_good() -> bool:
            return all(self.good_since(since, kind) >= times for kind in kinds)

        await until(are_good)

    @asynccontextmanager
    async def running(self, *, clients: int = 2) -> AsyncIterator[None]:
        """Go on asking during the block. What was begun is ended then."""
        limits = httpx.Limits(max_connections=None)
        headers = self._organization.headers
        async with httpx.AsyncClient(headers=headers, timeout=_SECONDS, limits=limits) as http:
            ways = (self._chat, self._stream, self._keyed, self._generation, self._read)
            tasks = [asyncio.create_task(self._repeat(way, http)) for way in ways for _ in range(clients)]
            try:
                yield
            finally:
                self._is_over = True
                await asyncio.gather(*tasks)

    async def _repeat(self, way: Callable[[httpx.AsyncClient], Awaitable[None]], http: httpx.AsyncClient) -> None:
        while not self._is_over:
            await way(http)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _chat(self, http: httpx.AsyncClient) -> None:
        await self._ask(http, "chat", self._marker("chat"), "Hello")

    async def _stream(self, http: httpx.AsyncClient) -> None:
        words = f"count slowly to {_STREAM_WORDS}"
        await self._ask(http, "stream", self._marker("stream"), words, stream=True)

    async def _generation(self, http: httpx.AsyncClient) -> None:
        marker = self._marker("generation")
        await self._ask(http, "generation", marker, f"Please make simulator/image of a quay {marker}")

    async def _keyed(self, http: httpx.AsyncClient) -> None:
        """Ask, as SDKs do, until the answer has come. Every repeat has the same key."""
        marker = self._marker("keyed")
        outcome = await self._ask(http, "keyed", marker, "Hello", key=marker)
        while not outcome.is_good:
            await asyncio.sleep(_REPEAT_SECONDS)
            outcome = await self._ask(http, "keyed", marker, "Hello", key=marker)

    async def _read(self, http: httpx.AsyncClient) -> None:
        began = time.monotonic()
        try:
            response = await http.get(f"{self._next_url()}/credits")
        except httpx.HTTPError:
            self._note(Outcome("credits", "", began, time.monotonic()))
            return
        ended = time.monotonic()
        self._note(outcome_of(response, response.content, kind="credits", marker="", began=began, ended=ended))

    async def _ask(
        self, http: httpx.AsyncClient, kind: str, marker: str, words: str, *, stream: bool = False, key: str = ""
    ) -> Outcome:
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": words}],
            "stream": stream,
            "elevenlabs_extra_body": {"conversation_id": marker},
        }
        headers = {"Idempotency-Key": key} if key else {}
        began = time.monotonic()
        raw = b""
        try:
            async with http.stream("POST", f"{self._next_url()}{_CHAT}", json=body, headers=headers) as response:
                async for piece in response.aiter_raw():
                    raw += piece
        except httpx.HTTPError:
            return self._note(Outcome(kind, marker, began, time.monotonic(), code="" if not raw else "cut off"))
        ended = time.monotonic()
        return self._note(outcome_of(response, raw, kind=kind, marker=marker, began=began, ended=ended))

    def _marker(self, kind: str) -> str:
        return f"{kind}-{self._name}-{next(self._numbers)}"

    def _next_url(self) -> str:
        return self._base_urls[next(self._numbers) % len(self._base_urls)]

    def _note(self, outcome: Outcome) -> Outcome:
        self.outcomes.append(outcome)
        return outcome
