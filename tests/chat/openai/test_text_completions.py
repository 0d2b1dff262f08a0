"""Legacy completions are turns like any other."""

from typing import Any

import httpx
import openai
import pytest

from app.core.database import Database
from tests.chat.asking import answer_of, text_of
from tests.chat.books import books_of
from tests.conftest import Stack
from tests.factories import Organization

PATH = "/v1/completions"


@pytest.mark.parametrize("prompt", ["count to 3", ["count to 3"]])
async def test_the_answer_is_that_of_a_chat(
    http: httpx.AsyncClient, database: Database, organization: Organization, prompt: Any
) -> None:
    chat = await answer_of(http, organization, "count to 3")
    response = await http.post(PATH, json={"prompt": prompt, "max_tokens": 100}, headers=organization.headers)

    text = response.raise_for_status().json()
    (choice,) = text["choices"]
    assert choice == {"text": text_of(chat), "index": 0, "logprobs": None, "finish_reason": "stop"}
    assert (text["object"], text["usage"]) == ("text_completion", chat["usage"])
    assert response.headers["X-Session-ID"] == text["session_id"]
    charges = (await books_of(database, organization)).charges
    assert charges[0] == charges[1]


async def test_openais_client_reads_a_stream(stack: Stack, organization: Organization) -> None:
    async with openai.AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key=organization.api_key) as client:
        whole = await client.completions.create(model="junis-orchestrator", prompt="count to 3")
        stream = await client.completions.create(
            model="junis-orchestrator", prompt="count to 3", stream=True, stream_options={"include_usage": True}
        )
        pieces = [piece async for piece in stream]

    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == whole.choices[0].text
    assert [piece.choices[0].finish_reason for piece in pieces if piece.choices][-1] == "stop"
    assert pieces[-1].usage == whole.usage


async def test_a_repeated_stream_has_the_same_text(http: httpx.AsyncClient, organization: Organization) -> None:
    headers = organization.headers | {"Idempotency-Key": "text"}
    first, second = [
        (await http.post(PATH, json={"prompt": "count to 3", "stream": True}, headers=headers)).raise_for_status()
        for _ in range(2)
    ]

    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.text.endswith("data: [DONE]\n\n")
    assert first.headers["X-Session-ID"] == second.headers["X-Session-ID"]


@pytest.mark.parametrize(
    "body",
    [
        *({"suffix": "!"}, {"echo": True}, {"logprobs": 0}, {"logprobs": 3}, {"best_of": 2}, {"n": 2}),
        *({"messages": []}, {"prompt": ["a", "b"]}, {"prompt": [1, 2]}, {"prompt": []}),
    ],
)
async def test_what_an_agent_cannot_do_is_refused(
    http: httpx.AsyncClient, database: Database, organization: Organization, body: dict[str, Any]
) -> None:
    response = await http.post(PATH, json={"prompt": "Hello", **body}, headers=organization.headers)

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "invalid_request")
    assert error["param"] == next(iter(body))
    assert (await books_of(database, organization)).holds == []
