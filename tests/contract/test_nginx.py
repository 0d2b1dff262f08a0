"""Streams behind an nginx that ends a silent stream after 20 s, buffers what it may and compresses everything."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.conftest import Stack
from tests.contract.accounts import Account
from tests.contract.event_lines import CHAT, DONE, KEEP_ALIVE, Line, content_of, lines_of, question, until_quiet
from tests.contract.nginx import IDLE_SECONDS, running_nginx

# How long the silent agent's model sends nothing.
SILENCE_SECONDS = 25


@pytest.fixture(scope="module")
def proxy(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of nginx."""
    with running_nginx(tmp_path_factory.mktemp("nginx"), api=stack.url, vendor=stack.simulator.url) as url:
        yield url


@pytest.fixture(scope="module")
async def http(proxy: str, account: Account) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {account.organization.api_key}"}
    async with httpx.AsyncClient(base_url=proxy, headers=headers, timeout=60) as client:
        yield client


async def by_sdk(proxy: str, account: Account) -> str:
    """The silent agent's answer, streamed and joined by OpenAI's SDK."""
    base_url, key = f"{proxy}/api/external/v1", account.organization.api_key
    async with (
        AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client,
        client.chat.completions.stream(
            model="agent/silent", messages=[{"role": "user", "content": "Count to 20"}]
        ) as events,
    ):
        return (await events.get_final_completion()).choices[0].message.content or ""


@dataclass(frozen=True)
class BareStream:
    """A stream of the silent model directly from the vendor: its encoding, and the error that ended it."""

    encoding: str | None
    ended_by: type[Exception] | None


async def bare_stream(http: httpx.AsyncClient) -> BareStream:
    body = question("") | {"model": "sim-chat--first-token-slow-600", "stream": True}
    async with http.stream("POST", "/vendor/openai/v1/chat/completions", json=body) as response:
        encoding = response.headers.get("content-encoding")
        try:
            await response.aread()
        except httpx.TransportError as error:
            return BareStream(encoding, type(error))
    return BareStream(encoding, None)


@dataclass(frozen=True)
class Silences:
    """Concurrent streams that were silent for longer than nginx allows."""

    before_the_answer: list[Line]
    within_the_answer: list[Line]
    by_sdk: str
    bare: BareStream


@pytest.fixture(scope="module")
async def silences(http: httpx.AsyncClient, proxy: str, account: Account) -> Silences:
    async def whole() -> list[Line]:
        return [line async for line in lines_of(http, question("silent"))]

    before, within, sdk, bare = await asyncio.gather(
        whole(),
        until_quiet(http, question("stalled"), keep_alives=5),
        by_sdk(proxy, account),
        bare_stream(http),
    )
    return Silences(before, within, sdk, bare)


def test_nginx_compresses_and_ends_a_silent_stream_of_another_server(silences: Silences) -> None:
    """Without this, the tests below would prove nothing."""
    assert silences.bare == BareStream(encoding="gzip", ended_by=httpx.RemoteProtocolError)


def test_a_stream_survives_a_model_that_takes_long_to_begin(silences: Silences) -> None:
    lines = silences.before_the_answer

    first_content = next(line for line in lines if content_of(line))
    assert first_content.at > SILENCE_SECONDS > IDLE_SECONDS
    assert KEEP_ALIVE in [line.text for line in lines]
    assert "".join(map(content_of, lines)) == " ".join(map(str, range(1, 21)))
    assert lines[-1].text == DONE


def test_a_stream_survives_a_model_that_pauses_in_its_answer(silences: Silences) -> None:
    *_, last_content = (line for line in silences.within_the_answer if content_of(line))

    # Three words arrived although the fourth never does, so nothing waits for a buffer to fill.
    assert "".join(map(content_of, silences.within_the_answer)) == "1 2 3 "
    assert silences.within_the_answer[-1].at - last_content.at > IDLE_SECONDS


def test_the_sdk_survives_the_silence_too(silences: Silences) -> None:
    assert silences.by_sdk == " ".join(map(str, range(1, 21)))


@pytest.mark.parametrize("words", [1, 2, 3])
async def test_chunks_come_one_by_one(http: httpx.AsyncClient, words: int) -> None:
    """The vendor sends this many words and then nothing; if they were buffered, the last would never arrive."""
    said = ""
    async with aclosing(lines_of(http, question(f"stalled-{words}"))) as lines:
        async for line in lines:
            said += content_of(line)
            if len(said.split()) == words:
                break

    assert said == "".join(f"{number} " for number in range(1, words + 1))


async def test_an_error_within_a_stream_is_passed_through(http: httpx.AsyncClient) -> None:
    lines = [line async for line in lines_of(http, question("interrupted"))]

    *before, error, done = lines
    assert "".join(map(content_of, before)) == "1 2 3 "
    assert json.loads(error.text.removeprefix("data: "))["error"]["code"] == "provider_error"
    assert done.text == DONE


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (question("nobody"), 404, "agent_not_found"),
        (question("plain", temperature=9), 400, "invalid_request"),
        (question("broken"), 502, "provider_error"),
        (question("broken", stream=True), 502, "provider_error"),
    ],
)
async def test_a_refusal_is_passed_through(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, code: str
) -> None:
    response = await http.post(CHAT, json=body)

    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.headers["x-request-id"]
    assert response.headers["x-ratelimit-remaining"]
