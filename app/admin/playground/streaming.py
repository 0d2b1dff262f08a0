"""A turn of the playground as server-sent events, which its script reads."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from app.admin.forms import sentence_of
from app.admin.playground.conversation import Conversations
from app.chat.turns.result import TurnResult
from app.chat.turns.run import RunningTurn
from app.chat_models.protocol import JsonObject
from app.core import sse
from app.core.errors import AppError

# How often the contents of a turn are looked at while it runs.
_LOOK_SECONDS: Final = 0.7


@dataclass(frozen=True)
class PlaygroundForm:
    """The form that the playground gives to a turn: texts as they arrive, contents as they finish, then all as HTML."""

    conversations: Conversations

    def whole(self, result: TurnResult) -> JsonObject:
        """Which turn it was, and what was said."""
        return {"turn": result.turn.id, "text": result.message.get("content")}

    async def stream(self, running: RunningTurn) -> AsyncIterator[bytes]:
        """A running turn, to its end."""
        turn_id = running.turn.id
        yield sse.frame({"type": "begin", "turn": turn_id})
        shown: dict[str, Any] = {}
        makes = bool(running.turn.run.agent.tool_names())
        look_at = monotonic() + _LOOK_SECONDS
        while True:
            text, has_ended = await _next_text(running)
            if text:
                yield sse.frame({"type": "text", "text": text})
            if has_ended:
                break
            if makes and monotonic() > look_at:
                for frame in await self._new_media(turn_id, shown):
                    yield frame
                look_at = monotonic() + _LOOK_SECONDS
            elif not text:
                yield sse.KEEP_ALIVE
        try:
            await running.result()
        except AppError as error:
            yield sse.frame({"type": "error", "message": sentence_of(error)})
        yield await self._end(turn_id)

    async def replay(self, result: TurnResult) -> AsyncIterator[bytes]:
        """A turn that has ended before: the form was sent twice."""
        yield sse.frame({"type": "begin", "turn": result.turn.id})
        yield await self._end(result.turn.id)

    async def _new_media(self, turn_id: str, shown: dict[str, Any]) -> list[bytes]:
        """The contents whose state has changed since `shown`."""
        frames = []
        for made in await self.conversations.media_of(turn_id):
            if shown.get(made.id) != made.state or made.id not in shown:
                shown[made.id] = made.state
                html = self.conversations.html("playground/media.html", made=made)
                frames.append(sse.frame({"type": "media", "id": made.id, "html": html}))
        return frames

    async def _end(self, turn_id: str) -> bytes:
        return sse.frame({"type": "end", **await self.conversations.state_of(turn_id)})


async def _next_text(running: RunningTurn) -> tuple[str, bool]:
    """The next piece of the answer, which may be empty, and whether the turn has ended."""
    deltas, is_over = await running.deltas.next_ones(_LOOK_SECONDS)
    return "".join(delta.delta.get("content") or delta.delta.get("refusal") or "" for delta in deltas), is_over
