import re
from dataclasses import dataclass

from simulator.faults.chat import ChatFault
from simulator.openai.conversation import last_words
from simulator.openai.requests import ChatRequest

_SLOWLY = re.compile(r"\bslowly\b", re.IGNORECASE)
_SLOW_CHUNK = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a reply takes.

    Attributes:
        before_first: Seconds before the first chunk.
        between: Seconds before each chunk of content.
        total: Seconds that the same reply takes unstreamed.
    """

    before_first: float
    between: float
    total: float


def pace_of(request: ChatRequest, chunks: int) -> Pace:
    """The pace of a reply of so many chunks: at once, unless the words or a fault ask for patience."""
    before_first = request.faults.get(ChatFault.FIRST_TOKEN_SLOW) or 0.0
    between = (request.faults.get(ChatFault.SLOW) or 0.0) / max(1, chunks)
    if _SLOWLY.search(last_words(request.messages)):
        between += _SLOW_CHUNK
    return Pace(before_first, between, before_first + between * chunks)
