"""Bodies that were made to break or to block the server: each is answered, or refused in words.

Small by default; with FULL=1 (`make fuzz`) as large as a body may be.
"""

import asyncio
import itertools
import os
import time
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from app.chat.openai.request import ChatRequest
from app.chat.responses.request import ResponseRequest
from app.core.errors import InvalidRequestError
from app.core.json_body import parse_body
from bench.hostile_bodies import LARGEST, SHAPES, Shape, long_history, sent_again
from bench.hostile_responses import RESPONSES

SIZE = LARGEST if os.environ.get("FULL") else 150_000
# Each of them holds the parser, the models or both for longer than most.
WORST = ["empty lists", "one text", "message of keys at the limit", "parts at the limit", "wide text", "long values"]
WORST_RESPONSES = ["calls and outputs", "thoughts", "item of keys", "namespaces"]
JSON = {"Content-Type": "application/json"}
_AT_ONCE = 4


async def test_every_shape_is_answered_or_refused_in_words(client: httpx.AsyncClient) -> None:
    (agent, *_) = (await client.get("agents")).json()["agents"]
    # The first two take the same bodies.
    urls = itertools.cycle(["v1/chat/completions", f"agents/{agent['id']}/completions"])
    asked = [*zip(SHAPES.items(), urls, strict=False), *((shape, "v1/responses") for shape in RESPONSES.items())]
    room = asyncio.Semaphore(_AT_ONCE)

    async def complaint_about(name: str, shape: Shape, url: str) -> str | None:
        async with room:
            response = await client.post(url, content=shape(SIZE), headers=JSON)
        is_fine = response.status_code in {200, 400, 404, 413} and len(response.content) < SIZE + 100_000
        is_said = response.status_code == 200 or bool(response.json()["error"]["message"])
        return None if is_fine and is_said else f"{name}: {response.status_code} {response.text[:200]}"

    complaints = await asyncio.gather(*(complaint_about(name, shape, url) for (name, shape), url in asked))

    assert [complaint for complaint in complaints if complaint] == []


async def test_late_results_in_a_long_conversation_are_answered(client: httpx.AsyncClient) -> None:
    for body in long_history(answers=140 if SIZE == LARGEST else 20):
        response = await client.post("v1/chat/completions", content=body, headers=JSON)

        assert response.status_code == 200, response.text


async def test_a_long_conversation_that_is_sent_again_is_answered(client: httpx.AsyncClient) -> None:
    for body in sent_again(2400 if SIZE == LARGEST else 200):
        response = await client.post("v1/chat/completions", content=body, headers=JSON)

        assert response.status_code == 200, response.text


def spent() -> float:
    return time.thread_time()


def calibration() -> float:
    """Seconds of processor time that this machine takes for a million steps of Python, which is 20 to 60 ms."""
    began = spent()
    total = 0
    for number in range(1_000_000):
        total += number
    assert total
    return spent() - began


@pytest.mark.parametrize("name", SHAPES if os.environ.get("FULL") else WORST)
async def test_reading_a_body_takes_a_bounded_time_in_all(name: str) -> None:
    await _takes_a_bounded_time(SHAPES[name](LARGEST), ChatRequest)


@pytest.mark.parametrize("name", RESPONSES if os.environ.get("FULL") else WORST_RESPONSES)
async def test_reading_a_request_for_a_response_takes_a_bounded_time_in_all(name: str) -> None:
    await _takes_a_bounded_time(RESPONSES[name](LARGEST), ResponseRequest)


async def _takes_a_bounded_time(body: bytes, model: type[BaseModel]) -> None:
    unit = min(calibration() for _ in range(3))

    began = spent()
    try:
        value: Any
        value, _ = await parse_body(body)
        model.model_validate(value)
    except (InvalidRequestError, ValidationError):
        pass

    # Before anything was counted the worst shapes took forty to a hundred times as long as the calibration.
    assert spent() - began < 8 * unit
