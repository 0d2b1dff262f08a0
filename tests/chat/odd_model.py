"""A chat model that sends exactly what a test sets, for answers that no sensible model gives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.core.database import Database
from tests.agents.definitions import make_team, price_chat_models
from tests.chat_models.raw_server import LAST_CHUNK, SSE_HEAD, Connection, chunk, raw_server, response
from tests.factories import Organization

DONE = b"data: [DONE]\n\n"
# The choices of a last chunk.
FINISH = [{"delta": {}, "finish_reason": "stop"}]


@dataclass
class OddModel:
    """The model and its answers: each request uses up the first one that is left; the last one is repeated.

    Attributes:
        url: the model's base URL.
        answers: for each answer, the choices of its chunks. Without streaming, the message of the last chunk is sent.
        requests: the bodies of the requests so far.
    """

    url: str = ""
    answers: list[list[Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def say(self, *answers: list[Any]) -> None:
        """Set the answers to the next requests."""
        self.answers = list(answers)
        self.requests = []

    async def answer(self, connection: Connection, request: bytes) -> None:
        """Answer one request."""
        body = orjson.loads(request.partition(b"\r\n\r\n")[2])
        self.requests.append(body)
        choices = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if body.get("stream"):
            events = [b"data: " + orjson.dumps({"choices": each}) + b"\n\n" for each in choices]
            await connection.send(SSE_HEAD + b"".join(chunk(event) for event in [*events, DONE]) + LAST_CHUNK)
        else:
            await connection.send(response(orjson.dumps({"choices": choices[-1]})))


@asynccontextmanager
async def running_odd_model() -> AsyncIterator[OddModel]:
    """Runs such a model during the block."""
    model = OddModel()
    async with raw_server(model.answer) as server:
        model.url = server.url
        yield model


def says(delta: Any, finish_reason: str | None = None) -> list[Any]:
    """The choices of a chunk, which also serve as those of a whole completion."""
    return [{"index": 0, "delta": delta, "message": delta, "finish_reason": finish_reason}]


def calls(name: Any, arguments: Any = "{}", *, finish_reason: str | None = "tool_calls", **fields: Any) -> list[Any]:
    """The choices of a chunk that calls a tool."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return says({"role": "assistant", "content": None, "tool_calls": [{**call, **fields}]}, finish_reason)


def arguments(piece: str, **fields: Any) -> list[Any]:
    """The choices of a chunk with another piece of a call's arguments."""
    return says({"tool_calls": [{"function": {"arguments": piece}, **fields}]})


async def make_odd_host(database: Database) -> Organization:
    """An organization whose orchestrator uses the model at the upstream `odd`, and has a tool and a sub-agent."""
    team = await make_team(
        database,
        {"name": "host", "model": "odd", "tools": ["replicate_generate"], "sub_agents": ["poet"], "max_llm_calls": 3},
        {"name": "poet", "model": "sim-chat"},
    )
    await price_chat_models(database, "odd", upstream="odd")
    return team
