"""A turn as the server-sent events of a `response`, numbered from 0."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy, deepcopy
from typing import Any, Final

from app.agents.runtime.events import Delta
from app.chat.responses.growing_output import GrowingOutput
from app.chat.responses.open_items import Event
from app.chat.responses.request import ResponseRequest
from app.chat.responses.resource import begun_resource, ended_resource, failed_resource, queued_resource
from app.chat.responses.thoughts import ThoughtSeal
from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat_models.protocol import JsonObject
from app.core import sse
from app.core.errors import AppError

# The number of events with which a response begins, by whether it is in the background.
BEGINNING: Final = {True: 3, False: 2}

_DELTA = b"event: response.output_text.delta\ndata: "


class ResponseEvents:
    """The events of one response. Every method returns whole events, to be sent as one piece."""

    def __init__(self, asked: ResponseRequest, turn: TurnIdentity, seal: ThoughtSeal, *, number: int = 0) -> None:
        """Begin with the event of this number."""
        self._asked = asked
        self._turn = turn
        self._seal = seal
        self._number = number
        self._output = GrowingOutput(turn.id, is_summary=asked.wants_summary, wants_logprobs=asked.wants_logprobs)
        # What all deltas of the text have in common, before and after what they say; empty before the first one.
        self._before, self._after = b"", b""

    def copied(self) -> "ResponseEvents":
        """The same events as far as they have been made, to be gone on with on their own."""
        copied = copy(self)
        copied._output = deepcopy(self._output)  # noqa: SLF001 - of this class
        return copied

    def begin(self) -> bytes:
        """The events with which a response begins."""
        response = begun_resource(self._asked, self._turn)
        states = [("created", response), ("in_progress", response)]
        if self._asked.background:
            queued = queued_resource(self._asked, self._turn)
            states = [("created", queued), ("queued", queued), ("in_progress", response)]
        return self._frames((f"response.{name}", {"response": shown}) for name, shown in states)

    def said(self, deltas: Sequence[Delta]) -> bytes:
        """The events of deltas that have come at once."""
        return b"".join([self._said(delta) for delta in deltas])

    def ended(self, result: TurnResult) -> bytes:
        """The events that end a response whose turn has an answer."""
        sealed = self._seal.close(result.message) if self._asked.wants_sealed_thoughts else None
        rest = self._frames(self._output.end(result, sealed))
        response = ended_resource(self._asked, result, self._output.items)
        return rest + self._frames([(f"response.{response['status']}", {"response": response})])

    def failed(self, error: AppError) -> bytes:
        """The events that end a response whose turn has failed."""
        return failed_events(failed_resource(self._asked, self._turn, error), error, self._number)

    def _said(self, delta: Delta) -> bytes:
        fields = delta.delta
        part = self._output.text
        if part is None or delta.logprobs is not None or len(fields) != 1 or "content" not in fields:
            return self._frames(self._output.add(delta))
        if not self._before:
            event = sse.one_line({**part.place, "delta": "", "logprobs": []})
            before, _, after = event.partition(b'"delta":""')
            self._before, self._after = before[1:] + b'"delta":', after
        part.note(fields["content"])
        number = self._number
        self._number += 1
        return b'%s{"type":"response.output_text.delta","sequence_number":%d,%s%s%s\n\n' % (
            _DELTA,
            number,
            self._before,
            sse.one_line(fields["content"]),
            self._after,
        )

    def _frames(self, events: Iterable[Event]) -> bytes:
        return b"".join([self._frame(*event) for event in events])

    def _frame(self, kind: str, fields: JsonObject) -> bytes:
        number = self._number
        self._number += 1
        return _frame(kind, number, fields)


def failed_events(response: Mapping[str, Any], error: AppError, number: int) -> bytes:
    """The events that end a response which has failed. Clients look for the error in either of two places."""
    details = {"code": error.code, "message": error.text, "param": error.param}
    told = _frame("error", number, {**details, "error": {"type": error.type, **details}})
    return told + _frame("response.failed", number + 1, {"response": dict(response)})


def cancelled_event(response: Mapping[str, Any], number: int) -> bytes:
    """The event that ends a response which was cancelled. Clients know it: OpenAI has none that says so."""
    return _frame("response.incomplete", number, {"response": dict(response)})


def _frame(kind: str, number: int, fields: JsonObject) -> bytes:
    data = sse.one_line({"type": kind, "sequence_number": number, **fields})
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)
