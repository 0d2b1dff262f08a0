from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.chat.openai.completion import render_completion
from app.chat.openai.stream import stream_replay, stream_turn
from app.chat.turns.result import TurnResult
from app.chat.turns.run import RunningTurn
from app.chat_models.protocol import JsonObject


@dataclass(frozen=True)
class CompletionForm:
    """A turn as a chat completion. `wants_usage` asks for a chunk with the usage at the end of a stream."""

    wants_usage: bool

    def whole(self, result: TurnResult) -> JsonObject:
        """The `chat.completion`."""
        return render_completion(result)

    def stream(self, running: RunningTurn) -> AsyncIterator[bytes]:
        """The chunks of a running turn as server-sent events."""
        return stream_turn(running, wants_usage=self.wants_usage)

    def replay(self, result: TurnResult) -> AsyncIterator[bytes]:
        """The chunks of a stored result as server-sent events."""
        return stream_replay(result, wants_usage=self.wants_usage)
