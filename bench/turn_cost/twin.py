"""The product's twin: a server of the same duties as one would write it by hand, without any structure.

`python -m bench.turn_cost.twin PORT`. A key is looked up in memory; one Lua call takes a slot and one command gives it
back; two transactions keep what was said, hold credits and charge them; a stream is read and written again event by
event. Beyond that it does what the requests of the bench need: an `Idempotency-Key`, a session that is continued, and
one tool that runs on the server.
"""

import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import uvicorn
from fastapi import FastAPI, Header, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from bench.turn_cost.twin_store import Store, Turn, opened_store
from bench.turn_cost.upstream import CHAT_MODEL, TOOL_MODEL

KEY = "jns_live_of_the_twin"
TOOLED = "agent/tooled"
_ORGANIZATIONS = {f"Bearer {KEY}": 1}
_UPSTREAM = f"{os.environ.get('LLM_BASE_URL', '')}/chat/completions"
_HEADERS = {"content-type": "application/json", "authorization": "Bearer of-the-upstream"}
_PARAMETERS = {"type": "object", "properties": {"model": {"type": "string"}}, "required": ["model"]}
_TOOL = {"type": "function", "function": {"name": "draw", "description": "Draws.", "parameters": _PARAMETERS}}


class Message(BaseModel):
    """A message of a request."""

    model_config = ConfigDict(extra="allow")
    role: str
    content: str | list[Any] | None = None


class Chat(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="allow")
    model: str = "junis-orchestrator"
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    temperature: float | None = Field(None, ge=0, le=2)
    session_id: str | None = None


class Model:
    """The chat model, as one turn calls it."""

    def __init__(self, http: aiohttp.ClientSession, body: dict[str, Any]) -> None:
        self._http = http
        self._body = body
        self.said: list[dict[str, Any]] = []
        self.usages: list[dict[str, int]] = []

    async def answer(self) -> str:
        """Its text, once it calls no more tools."""
        while True:
            async with self._http.post(_UPSTREAM, data=orjson.dumps(self._body), headers=_HEADERS) as response:
                answer = orjson.loads(await response.read())
            self.usages.append(answer["usage"])
            message = answer["choices"][0]["message"]
            self.said.append(message)
            if not message.get("tool_calls"):
                return str(message["content"])
            self._run_tools(message)

    async def stream(self, identity: dict[str, Any]) -> AsyncIterator[bytes]:
        """Its events, with another identity."""
        rest, texts = b"", []
        body = self._body | {"stream_options": {"include_usage": True}}
        async with self._http.post(_UPSTREAM, data=orjson.dumps(body), headers=_HEADERS) as response:
            async for data in response.content.iter_any():
                *events, rest = (rest + data).split(b"\n\n")
                lines = []
                for event in events:
                    if event == b"data: [DONE]":
                        continue
                    value = orjson.loads(event[6:])
                    if value["choices"]:
                        texts.append(value["choices"][0]["delta"].get("content") or "")
                    else:
                        self.usages.append(value["usage"])
                    lines.append(b"data: %b\n\n" % orjson.dumps(value | identity))
                if lines:
                    yield b"".join(lines)
        self.said.append({"role": "assistant", "content": "".join(texts)})

    def _run_tools(self, message: dict[str, Any]) -> None:
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": '{"error": "model must be a string"}'}
            for call in message["tool_calls"]
            if orjson.loads(call["function"]["arguments"])
        ]
        self.said += results
        self._body["messages"] = [*self._body["messages"], message, *results]


@asynccontextmanager
async def _opened(app: FastAPI) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0)
    async with opened_store() as app.state.store, aiohttp.ClientSession(connector=connector) as app.state.http:
        yield


app = FastAPI(lifespan=_opened, openapi_url=None)


@app.post("/v1/chat/completions")
async def complete(
    chat: Chat, authorization: str = Header(), idempotency_key: str | None = Header(default=None)
) -> Response:
    """Run one turn."""
    if _ORGANIZATIONS.get(authorization) is None:
        return Response(status_code=401)
    store: Store = app.state.store
    body = chat.model_dump(exclude_unset=True)
    turn = await store.begin(body["messages"], body.pop("session_id", None), idempotency_key)
    body["messages"] = turn.messages
    body["model"] = CHAT_MODEL
    if chat.model == TOOLED:
        body |= {"model": TOOL_MODEL, "tools": [_TOOL]}
    model = Model(app.state.http, body)
    headers = {"x-session-id": turn.session}
    identity = {"id": f"cmpl-{turn.id}", "model": chat.model, "session_id": turn.session}
    if chat.stream:
        return StreamingResponse(
            _streamed(store, turn, model, identity), headers=headers, media_type="text/event-stream"
        )
    text = await model.answer()
    await store.end(turn, model.said, model.usages)
    return Response(orjson.dumps(_completion(text, model, identity)), headers=headers, media_type="application/json")


async def _streamed(store: Store, turn: Turn, model: Model, identity: dict[str, Any]) -> AsyncIterator[bytes]:
    async for data in model.stream(identity):
        yield data
    await store.end(turn, model.said, model.usages)
    yield b"data: [DONE]\n\n"


def _completion(text: str, model: Model, identity: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {name: sum(use[name] for use in model.usages) for name in model.usages[0]}
    created = int(time.time())
    return {"object": "chat.completion", "created": created, "choices": [choice], "usage": usage, **identity}


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
