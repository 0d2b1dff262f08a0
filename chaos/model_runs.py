"""The runs of a chat as the vendor saw them: its model calls, put together again from the vendor's log."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from chaos.prices import CHAT_PRICES, SILENT_MODEL
from chaos.vendor import Entry

_MARKER = re.compile(r"\[chaos (\d+\.\d+)\]")
_BYTES_PER_TOKEN = 4
_FINISHED = "finished"


@dataclass(frozen=True)
class Bounds:
    """An amount of credits, exact if both are equal."""

    least: Decimal
    most: Decimal

    @property
    def is_exact(self) -> bool:
        """Whether only one amount is right."""
        return self.least == self.most

    def __contains__(self, amount: Decimal) -> bool:
        return self.least <= amount <= self.most

    def __add__(self, other: "Bounds") -> "Bounds":
        return Bounds(self.least + other.least, self.most + other.most)


NOTHING = Bounds(Decimal(0), Decimal(0))


@dataclass(frozen=True)
class ModelCall:
    """One model call that the vendor has answered, at least in part.

    Attributes:
        model: The model's name in the catalog.
        is_finished: Whether its answer was sent to the end.
        is_reported: Whether the vendor reported what it used, so that its cost is exact.
        usage: Prompt and completion tokens, as the vendor counts them.
        prompt_estimate: Prompt tokens by the length of the prompt.
        sent_bytes: How much of the answer was sent.
    """

    model: str
    is_finished: bool
    is_reported: bool
    usage: tuple[int, int]
    prompt_estimate: int
    sent_bytes: int

    @classmethod
    def of(cls, entry: Entry) -> "ModelCall":
        """The call of an entry of the vendor's log."""
        is_finished = entry["outcome"] == _FINISHED
        return cls(
            model=entry["model"],
            is_finished=is_finished,
            is_reported=is_finished and entry["model"] != SILENT_MODEL,
            usage=(entry["usage"]["prompt_tokens"], entry["usage"]["completion_tokens"]),
            prompt_estimate=_tokens(prompt_size(entry["request"])),
            sent_bytes=entry["sent_bytes"],
        )

    def cost(self, delivered_bytes: int, *, is_cut: bool = False) -> Bounds:
        """What it may cost if at least so many bytes of its answer reached the client.

        `is_cut`: the server did not read its answer to the end, though the vendor may have sent all of it.

        If its usage is not known, the completion counts as a token for every four bytes: at least of those that reached
        the client, at most of those that the vendor has sent. A call that has delivered nothing may be free.
        """
        price = CHAT_PRICES[self.model]
        if self.is_reported and not is_cut:
            exact = price.cost(*self.usage)
            return Bounds(exact, exact)
        prompts = sorted((self.usage[0], self.prompt_estimate))
        certain = self.sent_bytes if self.is_finished and not is_cut else min(delivered_bytes, self.sent_bytes)
        least = price.cost(prompts[0], _tokens(certain)) if certain else Decimal(0)
        return Bounds(least, price.cost(prompts[1], _tokens(self.sent_bytes)))


@dataclass(frozen=True)
class ModelRun:
    """The model calls of one turn, in order."""

    marker: str
    calls: tuple[ModelCall, ...]

    @property
    def finished(self) -> int:
        """How many of its calls were answered to the end."""
        return sum(call.is_finished for call in self.calls)

    def cost(self, calls: int, delivered_bytes: int, *, is_cut: bool = False) -> Bounds:
        """What its first so many calls may cost; the delivered bytes are those of its last one, as is `is_cut`."""
        last = len(self.calls) - 1
        costs = [
            call.cost(delivered_bytes, is_cut=is_cut) if at == last else call.cost(0)
            for at, call in enumerate(self.calls[:calls])
        ]
        return sum(costs, NOTHING)


def runs_of(chats: Sequence[Entry]) -> list[ModelRun]:
    """The runs in the vendor's log, in the order in which they began; calls that were refused are in none."""
    began: list[list[Entry]] = []
    run_by_call: dict[str, list[Entry]] = {}
    for entry in chats:
        if entry["usage"] is None:
            continue
        run = next((run_by_call[call_id] for call_id in _results(entry) if call_id in run_by_call), None)
        if run is None:
            run = []
            began.append(run)
        run.append(entry)
        run_by_call.update(dict.fromkeys(entry["calls"], run))
    return [ModelRun(marker_of(run[0]), tuple(ModelCall.of(entry) for entry in run)) for run in began]


def marker_of(entry: Entry) -> str:
    """The marker in the messages of a model call; empty if there is none."""
    found = _MARKER.search(json.dumps(entry["request"]["messages"]))
    return found[1] if found else ""


def prompt_size(request: Entry) -> int:
    """The bytes of a prompt as JSON, from which its tokens are estimated."""
    parts = [request["messages"], request.get("tools"), request.get("response_format")]
    return len(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode())


def _tokens(size: int) -> int:
    return -(-size // _BYTES_PER_TOKEN)


def _results(entry: Entry) -> Iterator[str]:
    """The tool calls whose results the conversation ends with."""
    for message in reversed(entry["request"]["messages"]):
        if message.get("role") != "tool":
            return
        yield message["tool_call_id"]
