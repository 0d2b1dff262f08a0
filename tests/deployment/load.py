"""A steady load of chats and open streams, without retries, that counts what failed.

`python -m tests.deployment.load URL KEY [KEY …] --seconds 60` prints the report; its status is 1 if anything failed. To
have it end with something else instead, stop it by SIGTERM.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

_CHAT = "/api/external/v1/chat/completions"
_TIMEOUT = 120.0


@dataclass
class Report:
    """What became of the requests: how many ended well, and the failures by their kind."""

    chats: int = 0
    streams: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    def as_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "chats": self.chats,
                "streams": self.streams,
                "failed": self.failed,
                "failures": self.failures,
                "slowest_chat_seconds": round(self.slowest, 2),
            }
        )


async def run_load(
    url: str,
    *keys: str,
    stopping: asyncio.Event,
    chats_per_second: float = 20,
    streams: int = 10,
    stream_words: int = 100,
    verify: bool = True,
) -> Report:
    """Send chats at this rate, and keep so many streams open, until the event is set. Then wait for what is open.

    Args:
        url: the server's, without a path.
        keys: API keys that may invoke agents; they are used in turn.
        stopping: ends the load.
        chats_per_second: how many chats begin in a second, whether those before have ended or not.
        streams: how many streams are open at any time.
        stream_words: how long a stream is; the simulator sends twenty words a second.
        verify: whether certificates are checked.
    """
    report = Report()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with (
        httpx.AsyncClient(base_url=url, timeout=_TIMEOUT, limits=limits, verify=verify) as http,
        asyncio.TaskGroup() as open_requests,
    ):
        for number in range(streams):
            client = _Client(http, keys[number % len(keys)], report)
            open_requests.create_task(_keep_streaming(client, stopping, stream_words))
        began, sent = time.monotonic(), 0
        while not stopping.is_set():
            open_requests.create_task(_chat(_Client(http, keys[sent % len(keys)], report)))
            sent += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, began + sent / chats_per_second - time.monotonic())):
                    await stopping.wait()
    return report


@dataclass(frozen=True)
class _Client:
    http: httpx.AsyncClient
    key: str
    report: Report

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.key}


async def _chat(client: _Client) -> None:
    began, report = time.monotonic(), client.report
    try:
        response = await client.http.post(_CHAT, json=_body("count to 3"), headers=client.headers)
    except httpx.HTTPError as error:
        report.failures[f"chat: {type(error).__name__}"] += 1
        return
    report.slowest = max(report.slowest, time.monotonic() - began)
    if response.status_code == 200 and response.json()["choices"][0]["message"]["content"] == "1 2 3":
        report.chats += 1
    else:
        report.failures[f"chat: {response.status_code} {response.text[:200]}"] += 1


async def _keep_streaming(client: _Client, stopping: asyncio.Event, words: int) -> None:
    while not stopping.is_set():
        failure = await _stream(client, words)
        if failure is None:
            client.report.streams += 1
        else:
            client.report.failures[f"stream: {failure}"] += 1
            await asyncio.sleep(0.2)


async def _stream(client: _Client, words: int) -> str | None:
    """Read one stream to its end. Returns what was wrong with it."""
    body = _body(f"count to {words} slowly", stream=True)
    try:
        async with client.http.stream("POST", _CHAT, json=body, headers=client.headers) as response:
            if response.status_code != 200:
                return f"{response.status_code} {(await response.aread()).decode()[:200]}"
            lines = [line async for line in response.aiter_lines() if line.startswith("data: ")]
    except httpx.HTTPError as error:
        return type(error).__name__
    return _fault_of([line.removeprefix("data: ") for line in lines], words)


def _fault_of(events: list[str], words: int) -> str | None:
    if events[-1:] != ["[DONE]"]:
        return "no [DONE]"
    said = ""
    for event in map(json.loads, events[:-1]):
        if "error" in event:
            return str(event["error"]["code"])
        said += "".join(choice["delta"].get("content") or "" for choice in event["choices"])
    return None if said == " ".join(map(str, range(1, words + 1))) else "not complete"


def _body(words: str, **values: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": words}], **values}


async def _main(arguments: argparse.Namespace) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    loop.call_later(arguments.seconds, stopping.set)
    report = await run_load(
        arguments.url,
        *arguments.keys,
        stopping=stopping,
        chats_per_second=arguments.chats_per_second,
        streams=arguments.streams,
        stream_words=arguments.stream_words,
        verify=not arguments.insecure,
    )
    sys.stdout.write(f"{report.as_json()}\n")
    return 1 if report.failed else 0


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.deployment.load", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("keys", metavar="KEY", nargs="+")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--chats-per-second", type=float, default=20)
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--stream-words", type=int, default=100)
    parser.add_argument("--insecure", action="store_true", help="accept any certificate")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(_parsed())))
