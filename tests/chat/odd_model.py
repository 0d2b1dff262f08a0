"""A chat model that says exactly what a test tells it to, for what no sensible one says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.chat_models.raw_server import LAST_CHUNK, SSE_HEAD, Connection, chunk, raw_server, response

DONE = b"data: [DONE]\n\n"


@dataclass
class OddModel:
    """Where the model is, and what it answers: each request takes the first answer that is left, the last one stays.

    Attributes:
        url: of the server.
        answers: the choices of each chunk of a stream; the message of the last one is what is answered unstreamed.
        requests: the bodies that it was sent.
    """

    url: str = ""
    answers: list[list[Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def say(self, *answers: list[Any]) -> None:
        """Set what is answered to the requests to come."""
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
    """Runs such a model for as long as the block takes."""
    model = OddModel()
    async with raw_server(model.answer) as server:
        model.url = server.url
        yield model
