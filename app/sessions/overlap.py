"""Which stored messages a request sends again. Pure functions; their time is linear, whatever is compared."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.sessions.echoes import Echo
from app.sessions.messages import MessageRole


@dataclass(frozen=True)
class Overlap:
    """The first `length` messages of a request are the stored ones from the index `start` on."""

    start: int
    length: int


def find_overlap(stored: Sequence[Echo], sent: Sequence[Echo], followed: int) -> Overlap | None:
    """What a request sends again of a conversation. None if it is new as a whole.

    The longest run of equal messages decides. Of several, it is the one at the beginning of the conversation, else the
    one at its end, else the latest. If the run ends before the stored messages do, the request differs from there on.

    Args:
        stored: the stored messages.
        sent: the messages of the request.
        followed: how many messages of the request are followed by another one.
    """
    if not stored:
        return None
    numbers: dict[Echo, int] = {}
    old = [numbers.setdefault(echo.gist, len(numbers)) for echo in stored]
    new = [numbers.setdefault(echo.gist, len(numbers)) for echo in sent]
    runs = common_runs(new, old)
    answer_at = {number: index for index, number in enumerate(old) if stored[index].role == MessageRole.ASSISTANT}
    anchor = next((i for i in range(followed) if new[i] in answer_at), None)
    if anchor is None:
        has_all = any(run == len(old) and at + run <= followed for at, run in enumerate(common_runs(old, new)))
        is_cut = 0 < runs[0] < min(followed, len(old)) and sent[runs[0]].is_cut_from(stored[runs[0]])
        return Overlap(0, runs[0]) if has_all or is_cut else None
    start = _best_start(runs, anchor)
    if start is None:
        # The request differs before its first stored answer, or has left out something before it.
        aligned = max(0, answer_at[new[anchor]] - anchor)
        start = 0 if old[anchor : anchor + 1] == [new[anchor]] or runs[0] > runs[aligned] else aligned
    return Overlap(start, _agreeing(stored[start:], sent[: runs[start]]))


def _best_start(runs: Sequence[int], anchor: int) -> int | None:
    """Where the best run begins that reaches beyond the request's message `anchor`, if there is one."""
    fitting = [start for start, run in enumerate(runs) if run > anchor]
    return max(fitting, key=lambda start: (runs[start], start == 0, start + runs[start], start), default=None)


def _agreeing(stored: Sequence[Echo], sent: Sequence[Echo]) -> int:
    """How many of the first messages agree, also in the texts beside calls."""
    pairs = zip(stored, sent, strict=False)
    return next((index for index, (old, new) in enumerate(pairs) if not new.is_of(old)), len(sent))


def common_runs(pattern: Sequence[int], text: Sequence[int]) -> list[int]:
    """For each index of the text: how many of the pattern's first numbers are there from that index on."""
    both = [*pattern, -1, *text]
    runs = [0] * len(both)
    left = right = 0
    for index in range(1, len(both)):
        run = min(runs[index - left], right - index) if index < right else 0
        while index + run < len(both) and both[run] == both[index + run]:
            run += 1
        runs[index] = run
        if index + run > right:
            left, right = index, index + run
    return runs[len(pattern) + 1 :]
