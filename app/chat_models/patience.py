"""How long a stream may be silent."""

import asyncio
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class StreamPatience:
    """How long a stream may be silent, in seconds. None is no limit but that of the whole call.

    Only events count, not comments: those may come from a gateway while the model is silent.

    Attributes:
        first_event: from the request to the first event.
        between_events: from each event to the next one.
    """

    first_event: float | None = None
    between_events: float | None = None


PATIENT: Final = StreamPatience()


def from_now(seconds: float | None) -> float | None:
    """The loop's time in so many seconds; None for None."""
    return None if seconds is None else asyncio.get_running_loop().time() + seconds
