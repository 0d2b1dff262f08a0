"""Runs of equal messages, for any numbers."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sessions.echoes import Echo
from app.sessions.overlap import Overlap, common_runs, find_overlap

COMPARISONS: Counter[str] = Counter()
NUMBERS = st.lists(st.integers(0, 2), max_size=12)


class Counted(int):
    """A number that counts how often it is compared."""

    def __eq__(self, other: object) -> bool:
        COMPARISONS["made"] += 1
        return isinstance(other, int) and int(self) == int(other)

    def __hash__(self) -> int:
        return int(self)


def common_run(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = list(zip(first, second, strict=False))
    return next((index for index, (one, other) in enumerate(pairs) if one != other), len(pairs))


@given(pattern=NUMBERS, text=NUMBERS)
def test_a_run_is_as_long_as_both_agree(pattern: list[int], text: list[int]) -> None:
    assert common_runs(pattern, text) == [common_run(pattern, text[start:]) for start in range(len(text))]


@pytest.mark.parametrize(
    "numbers", [[1] * 10_000, [1, 2] * 5000, [1] * 9999 + [2], [2] + [1] * 9999, list(range(10_000))]
)
def test_long_conversations_are_compared_in_linear_time(numbers: list[int]) -> None:
    COMPARISONS.clear()
    counted = [Counted(number) for number in numbers]

    common_runs(counted, counted)

    assert COMPARISONS["made"] <= 4 * len(numbers)


@pytest.mark.parametrize(
    ("sent", "overlap"),
    [
        (["a", "b", "c"], Overlap(0, 2)),
        (["x", "a", "b", "c"], Overlap(0, 0)),
        (["a", "b"], None),
        (["x", "a", "b"], None),
        (["a", "x", "b", "c"], None),
    ],
)
def test_questions_without_an_answer_are_sent_again_if_all_are_there(sent: list[str], overlap: Overlap | None) -> None:
    stored = [Echo("user", text) for text in ("a", "b")]

    assert find_overlap(stored, [Echo("user", text) for text in sent], len(sent) - 1) == overlap


def test_ten_thousand_equal_messages_overlap_as_a_whole() -> None:
    stored = [Echo(role, "same") for role in ("user", "assistant")] * 5000

    assert find_overlap(stored, [*stored, Echo("user", "new")], len(stored)) == Overlap(0, 10_000)
    # Nobody can tell whether the last question is another one, or the oldest messages are left out.
    assert find_overlap(stored, [*stored[2:], Echo("user", "new")], len(stored) - 2) == Overlap(0, 9998)
