"""One chat over HTTP, whole or streamed, as a client sees it."""

import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

_TIMEOUT = httpx.Timeout(40)
_CONTENT = re.compile(r'"id":"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"')
_NO_CREDITS = re.compile(r"credit", re.IGNORECASE)


@dataclass(frozen=True)
class Chat:
    """A chat to send. `hangs_up_after` so many pieces of text; None: never."""

    url: str
    headers: dict[str, str]
    body: dict[str, Any]
    hangs_up_after: int | None = None


@dataclass
class Reply:
    """What came back. `status` is None without a response, `id` empty without the beginning of an answer."""

    status: int | None = None
    id: str = ""
    text: str = ""
    is_complete: bool = False
    is_replayed: bool = False
    has_hung_up: bool = False
    pieces: int = field(default=0, repr=False)

    @property
    def turn(self) -> str:
        """The reference of the turn's hold."""
        return f"turn:{self.id.replace('cmpl-', 'turn-', 1)}"

    @property
    def contents(self) -> tuple[str, ...]:
        """The generations that the tools have made: the simulated assistant quotes what its tools return."""
        return tuple(dict.fromkeys(_CONTENT.findall(self.text)))

    @property
    def lacks_credits(self) -> bool:
        """Whether it says that a tool could not be paid for."""
        return not self.contents and bool(_NO_CREDITS.search(self.text))


async def send(http: httpx.AsyncClient, chat: Chat) -> Reply:
    """Send a chat and read its answer as far as it comes."""
    reply = Reply()
    try:
        async with http.stream("POST", chat.url, json=chat.body, headers=chat.headers, timeout=_TIMEOUT) as response:
            reply.status = response.status_code
            reply.is_replayed = response.headers.get("idempotent-replayed") == "true"
            if response.status_code == HTTPStatus.OK:
                await _read(response, chat, reply)
            else:
                await response.aread()
    except httpx.HTTPError:
        pass  # what has come by then stands in the reply
    return reply


async def _read(response: httpx.Response, chat: Chat, reply: Reply) -> None:
    if not chat.body.get("stream"):
        document = json.loads(await response.aread())
        reply.id, reply.is_complete = document["id"], True
        reply.text = document["choices"][0]["message"]["content"] or ""
        return
    is_finished = False
    async for line in response.aiter_lines():
        if line == "data: [DONE]":
            reply.is_complete = is_finished
            return
        if line.startswith("data: "):
            is_finished = _take(json.loads(line.removeprefix("data: ")), reply) or is_finished
        if chat.hangs_up_after is not None and reply.pieces >= chat.hangs_up_after:
            reply.has_hung_up = True
            return


def _take(chunk: dict[str, Any], reply: Reply) -> bool:
    """Add a chunk of a stream. Whether it says that the answer is finished."""
    reply.id = chunk.get("id") or reply.id
    for choice in chunk.get("choices") or []:
        if text := choice["delta"].get("content"):
            reply.text += text
            reply.pieces += 1
        if choice.get("finish_reason"):
            return True
    return False
