from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from app.chat.responses.growing_output import GrowingOutput
from app.chat.responses.kept_items import kept_input
from app.chat.responses.output import response_id_of
from app.chat.responses.request import ResponseRequest
from app.chat.responses.resource import ended_resource
from app.chat.responses.response_events import ResponseEvents
from app.chat.responses.thoughts import ThoughtSeal, thoughts_of
from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat.turns.run import RunningTurn
from app.chat_models.protocol import JsonObject
from app.core import sse
from app.core.errors import AppError
from app.kept_responses.keeping import Keeping


@dataclass(frozen=True)
class ResponseForm:
    """A turn as a response. `seal` closes what the model needs back, if the client asks for it.

    `shown` is the turn that clients know, if the response has begun again with another one.
    """

    asked: ResponseRequest
    seal: ThoughtSeal
    shown: TurnIdentity | None = None

    def as_shown(self, result: TurnResult) -> TurnResult:
        """The result as that of the turn that clients know."""
        return replace(result, turn=self.shown) if self.shown else result

    def whole(self, result: TurnResult) -> JsonObject:
        """The `response`."""
        asked, result = self.asked, self.as_shown(result)
        output = GrowingOutput(result.turn.id, is_summary=asked.wants_summary, wants_logprobs=asked.wants_logprobs)
        for _ in output.end(result, self.seal.close(result.message) if asked.wants_sealed_thoughts else None):
            pass
        return ended_resource(asked, result, output.items)

    def keeping(self, result: TurnResult) -> Keeping:
        """What is kept of the response."""
        turn_id = self.as_shown(result).turn.id
        return Keeping(
            id=response_id_of(turn_id),
            response=self.whole(result),
            input=self.kept_input(turn_id),
            thoughts=thoughts_of(result.message),
        )

    def kept_input(self, turn_id: str) -> list[JsonObject]:
        """The items of the request as they are kept."""
        return kept_input(self.asked.read.given, turn_id)

    def events(self, turn: TurnIdentity, *, number: int = 0) -> ResponseEvents:
        """The events of a turn, from the one of this number on."""
        return ResponseEvents(self.asked, self.shown or turn, self.seal, number=number)

    async def stream(self, running: RunningTurn) -> AsyncIterator[bytes]:
        """The events of a running turn. Those that are there at the same time come as one piece."""
        events = self.events(running.turn.identity)
        yield events.begin()
        is_over = False
        while not is_over:
            deltas, is_over = await running.deltas.next_ones(sse.KEEP_ALIVE_SECONDS)
            if deltas:
                yield events.said(deltas)
            elif not is_over:
                yield sse.KEEP_ALIVE
        try:
            result = await running.result()
        except AppError as error:
            yield events.failed(error)
        else:
            yield events.ended(result)

    async def replay(self, result: TurnResult) -> AsyncIterator[bytes]:
        """The events of a stored result."""
        events = self.events(result.turn)
        yield events.begin() + events.ended(result)
