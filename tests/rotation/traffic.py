"""What customers ask for while a secret is changed: chats, streams, pictures, files, and pages of the console."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.deployment.load import run_load
from tests.waiting import PATIENCE, until

_BASE = "/api/external"
_PICTURE = {"messages": [{"role": "user", "content": "Please make simulator/image of a lighthouse"}]}
_PAUSE = 0.2


@dataclass
class Traffic:
    """What became of the requests.

    Attributes:
        answered: how many of each kind were answered as they should be.
        failures: what went wrong, by its kind and text.
    """

    answered: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def expect(self, kind: str, response: httpx.Response, status: int = 200) -> bool:
        """Count a response. Returns whether it is the right one."""
        if response.status_code == status:
            self.answered[kind] += 1
            return True
        self.failures[f"{kind}: {response.status_code} {response.text[:150]}"] += 1
        return False


@dataclass(frozen=True)
class Customer:
    """Somebody with a key, and a user of the console."""

    url: str
    key: str
    email: str
    password: str


@contextmanager
def traffic(customer: Customer) -> Iterator[Traffic]:
    """Keep asking during the block, in a thread of its own; all that was asked is answered at its end."""
    seen = Traffic()
    begun = threading.Event()
    stop: list[Callable[[], Any]] = []

    async def ask() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopping.set))
        await _ask(customer, seen, stopping, begun)

    thread = threading.Thread(target=lambda: asyncio.run(ask()))
    thread.start()
    try:
        assert begun.wait(PATIENCE), "nothing was answered"
        yield seen
    finally:
        stop[0]()
        thread.join()


async def _ask(customer: Customer, seen: Traffic, stopping: asyncio.Event, begun: threading.Event) -> None:
    async with (
        httpx.AsyncClient(base_url=customer.url, headers={"X-API-Key": customer.key}, timeout=120) as api,
        httpx.AsyncClient(base_url=customer.url, timeout=120) as browser,
        asyncio.TaskGroup() as tasks,
    ):
        load = tasks.create_task(
            run_load(customer.url, customer.key, stopping=stopping, chats_per_second=4, streams=2, stream_words=40)
        )
        await _sign_in(browser, customer)
        for asking in (_pictures(api, seen), _lists(api, seen), _pages(browser, seen)):
            tasks.create_task(_again_and_again(asking, stopping))
        tasks.create_task(_tell(seen, begun))
    report = load.result()
    seen.answered.update(chats=report.chats, streams=report.streams)
    seen.failures.update(report.failures)


async def _tell(seen: Traffic, begun: threading.Event) -> None:
    async def has_begun() -> bool:
        return {"picture", "page"} <= set(seen.answered) or bool(seen.failures)

    await until(has_begun)
    begun.set()


async def _again_and_again(asking: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        await asking()
        await asyncio.sleep(_PAUSE)


def _pictures(http: httpx.AsyncClient, seen: Traffic) -> Callable[[], Awaitable[None]]:
    """A picture is asked for, made, and its file is read."""

    async def ask() -> None:
        asked = await http.post(f"{_BASE}/v1/chat/completions", json=_PICTURE)
        if not seen.expect("picture", asked):
            return
        (made,) = asked.json()["generated_content"]
        detail = await _ended(http, made["id"])
        if detail["status"] != "completed":
            seen.failures[f"generation: {detail['status']} {detail.get('error')}"] += 1
            return
        seen.expect("file", await http.get(urlsplit(detail["storage_url"]).path))

    return ask


async def _ended(http: httpx.AsyncClient, content: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while True:
            read = await http.get(f"{_BASE}/content/{content}")
            detail: dict[str, Any] = read.json()
            if read.status_code != 200:
                return {"status": read.status_code, "error": read.text[:150]}
            if detail["status"] in {"completed", "failed"}:
                return detail
            await asyncio.sleep(_PAUSE)


def _lists(http: httpx.AsyncClient, seen: Traffic) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        for path in ("content", "credits", "v1/models"):
            seen.expect("list", await http.get(f"{_BASE}/{path}"))

    return ask


def _pages(browser: httpx.AsyncClient, seen: Traffic) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        seen.expect("page", await browser.get("/admin/usage"))

    return ask


async def _sign_in(browser: httpx.AsyncClient, customer: Customer) -> None:
    page = await browser.get("/admin/sign-in")
    token = unescape(page.text.partition('name="csrf" value="')[2].partition('"')[0])
    fields = {"csrf": token, "email": customer.email, "password": customer.password}
    signed_in = await browser.post("/admin/sign-in", data=fields)
    assert signed_in.status_code == 303, signed_in.text[:500]
