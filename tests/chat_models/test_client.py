"""The client against the simulator: completions, streams, and every way in which an upstream can fail."""

import asyncio
import logging
from typing import Any

import pytest

from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import ChatModelClient, JsonObject, Upstream
from app.chat_models.usage import parse_report
from app.core.concurrency import cancel_all
from app.core.errors import (
    AppError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from tests.chat_models.taking import Taken, written
from tests.vendors_simulator import VendorsSimulator

KEY = "sk-the-key-of-the-tests"


def body(faults: str = "", words: str = "count to 4", **fields: Any) -> JsonObject:
    return {"model": f"sim-chat{faults}", "messages": [{"role": "user", "content": words}], **fields}


def upstream(simulator: VendorsSimulator, key: str = KEY) -> Upstream:
    return Upstream(base_url=simulator.openai_url, api_key=key)


async def complete(
    client: ChatModelClient, simulator: VendorsSimulator, faults: str = "", *, timeout: float = 60, **fields: Any
) -> JsonObject:
    (chunk,) = await client.complete(upstream(simulator), body(faults, **fields), timeout=timeout)
    return written(chunk)


def figures_of(document: JsonObject) -> tuple[int | None, int | None]:
    report = parse_report(document)
    assert report is not None
    return report.prompt_tokens, report.completion_tokens


async def stream(
    client: ChatModelClient, simulator: VendorsSimulator, faults: str = "", *, timeout: float = 60, **fields: Any
) -> list[JsonObject]:
    taken = Taken()
    await client.stream(upstream(simulator), body(faults, **fields), taken.take, timeout=timeout)
    return taken.chunks


def text_of(chunks: list[JsonObject]) -> str:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


async def logged(simulator: VendorsSimulator, *, is_ended: bool) -> dict[str, Any]:
    """The simulator's log entry for the one call, once the simulator has seen it begin or end."""
    while True:
        entries = simulator.log("chat")
        if entries and (not is_ended or entries[0]["outcome"]):
            return entries[0]
        await asyncio.sleep(0.01)


async def test_a_completion_is_passed_on_as_the_one_chunk_that_has_all_of_it(
    client: ChatModelClient, simulator: VendorsSimulator
) -> None:
    completion = await complete(client, simulator)

    assert completion["object"] == "chat.completion"
    assert completion["choices"][0]["delta"]["content"] == "1 2 3 4"
    assert completion["choices"][0]["finish_reason"] == "stop"
    assert figures_of(completion) == (3, 2)


async def test_a_stream_is_passed_on_chunk_by_chunk_as_the_upstream_sent_it(
    client: ChatModelClient, simulator: VendorsSimulator
) -> None:
    chunks = await stream(client, simulator)

    assert chunks[-1]["object"] == chunks[-2]["object"] == "chat.completion.chunk"
    assert text_of(chunks) == "1 2 3 4"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert figures_of(chunks[-1]) == (3, 2)


async def test_each_chunk_is_passed_on_at_once(client: ChatModelClient, simulator: VendorsSimulator) -> None:
    """The simulator sends nothing after the third chunk, but keeps the connection open; no chunk may wait for that."""
    taken = Taken()
    call = asyncio.create_task(client.stream(upstream(simulator), body("--stall-2"), taken.take, timeout=60))

    received = await taken.until(3)

    assert text_of(received) == "1 2 "
    await cancel_all([call])


@pytest.mark.parametrize("faults", ["", "--no-done", "--content-filter", "--tool-index-missing", "--no-usage"])
async def test_a_finished_answer_ends_normally(
    client: ChatModelClient, simulator: VendorsSimulator, faults: str
) -> None:
    chunks = await stream(client, simulator, faults)

    finish_reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    assert [reason for reason in finish_reasons if reason] == ["content_filter" if "filter" in faults else "stop"]


@pytest.mark.parametrize("faults", ["--cut-0", "--cut-2", "--no-finish", "--error-frame-2", "--garbage-2"])
async def test_an_unfinished_answer_is_a_failure(
    client: ChatModelClient, simulator: VendorsSimulator, faults: str
) -> None:
    with pytest.raises(ProviderError):
        await stream(client, simulator, faults)


@pytest.mark.parametrize("faults", ["--negative-usage", "--huge-usage", "--nan-usage"])
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_an_answer_with_impossible_usage_is_kept_without_the_usage(
    client: ChatModelClient,
    simulator: VendorsSimulator,
    caplog: pytest.LogCaptureFixture,
    faults: str,
    is_streamed: bool,
) -> None:
    last_document = (
        (await stream(client, simulator, faults))[-1] if is_streamed else await complete(client, simulator, faults)
    )

    assert parse_report(last_document) is None
    assert caplog.messages == ["upstream_usage_refused"]


@pytest.mark.parametrize("method", [complete, stream])
@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        ("--status-401", ProviderError),
        ("--status-402", ProviderError),
        ("--status-403", ProviderError),
        ("--status-404", ProviderError),
        ("--status-429", ProviderRateLimitedError),
        ("--status-500", ProviderError),
        ("--html-502", ProviderError),
        ("--drop-before-response", ProviderError),
    ],
)
async def test_each_refusal_has_its_error_and_the_request_is_sent_once(
    client: ChatModelClient, simulator: VendorsSimulator, method: Any, faults: str, kind: type[AppError]
) -> None:
    with pytest.raises(AppError) as failed:
        await method(client, simulator, faults)

    assert type(failed.value) is kind
    assert len(simulator.log("chat")) == 1


@pytest.mark.parametrize("method", [complete, stream])
@pytest.mark.parametrize("status", [503, 529])
async def test_an_overloaded_upstream_is_asked_twice(
    client: ChatModelClient, simulator: VendorsSimulator, method: Any, status: int
) -> None:
    with pytest.raises(ProviderUnavailableError) as failed:
        await method(client, simulator, f"--status-{status}")

    assert failed.value.headers() == {}
    assert len(simulator.log("chat")) == 2


@pytest.mark.parametrize("method", [complete, stream])
async def test_an_upstream_that_was_overloaded_for_a_moment_gives_its_answer(
    client: ChatModelClient, simulator: VendorsSimulator, method: Any
) -> None:
    await method(client, simulator, "--status-529-1")

    assert [entry["outcome"] for entry in simulator.log("chat")] == ["refused", "finished"]


@pytest.mark.parametrize(("faults", "seconds"), [("--status-429", 5), ("--status-429-7", 7), ("--status-429-900", 60)])
async def test_a_busy_upstream_says_when_to_retry(
    client: ChatModelClient, simulator: VendorsSimulator, faults: str, seconds: int
) -> None:
    with pytest.raises(ProviderRateLimitedError) as limited:
        await complete(client, simulator, faults)

    assert limited.value.headers()["Retry-After"] == str(seconds)


@pytest.mark.parametrize("key", ["", "revoked", "unpaid", "forbidden"])
async def test_only_the_operator_learns_that_the_key_was_refused(
    client: ChatModelClient, simulator: VendorsSimulator, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(ProviderError) as denied:
        await client.complete(upstream(simulator, key), body(), timeout=60)

    assert denied.value.text == ProviderError.message
    assert [(record.message, record.levelname) for record in caplog.records] == [("upstream_denied", "ERROR")]


@pytest.mark.parametrize("method", [complete, stream])
async def test_a_request_that_the_upstream_cannot_read_is_the_clients_error(
    client: ChatModelClient, simulator: VendorsSimulator, method: Any
) -> None:
    with pytest.raises(UpstreamRejectedError) as rejected:
        await method(client, simulator, messages="none")

    assert (rejected.value.status, rejected.value.param) == (400, "messages")


@pytest.mark.parametrize("faults", ["--first-token-slow-60", "--stall-2", "--slow-60"])
@pytest.mark.parametrize("method", [complete, stream])
async def test_a_call_that_takes_too_long_is_abandoned(
    client: ChatModelClient, simulator: VendorsSimulator, faults: str, method: Any
) -> None:
    with pytest.raises(ProviderTimeoutError):
        await method(client, simulator, faults, timeout=0.2)


async def test_cancelling_a_stream_stops_the_upstream(client: ChatModelClient, simulator: VendorsSimulator) -> None:
    taken = Taken()
    slow = body(words="slowly count to 10000")
    call = asyncio.create_task(client.stream(upstream(simulator), slow, taken.take, timeout=60))
    await taken.until(1)

    await cancel_all([call])

    assert (await logged(simulator, is_ended=True))["outcome"] == "client_disconnected"


async def test_cancelling_a_completion_stops_the_upstream(client: ChatModelClient, simulator: VendorsSimulator) -> None:
    call = asyncio.create_task(complete(client, simulator, "--slow-60"))
    await logged(simulator, is_ended=False)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert (await logged(simulator, is_ended=True))["outcome"] == "client_disconnected"
