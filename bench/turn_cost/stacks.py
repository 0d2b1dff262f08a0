"""Samples of stacks, added up."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stack:
    """One distinct stack: its functions as `name (file)`, from the outermost to the innermost, and its samples."""

    frames: Sequence[str]
    samples: int


def read_stacks(folded: str) -> list[Stack]:
    """The stacks of a file in which each line is one: functions with `;` between them, a space, and the samples."""
    lines = [line.rpartition(" ") for line in folded.splitlines()]
    return [Stack(frames.split(";"), int(samples)) for frames, _, samples in lines]


def own(stacks: Iterable[Stack]) -> Counter[str]:
    """By function: the samples in which it ran itself, or what it called was written in C."""
    found: Counter[str] = Counter()
    for stack in stacks:
        found[stack.frames[-1]] += stack.samples
    return found


def cumulative(stacks: Iterable[Stack]) -> Counter[str]:
    """By function: the samples in which it was on the stack."""
    found: Counter[str] = Counter()
    for stack in stacks:
        for frame in set(stack.frames):
            found[frame] += stack.samples
    return found


def by_group(stacks: Iterable[Stack], groups: Mapping[str, Sequence[str]], rest: str) -> Counter[str]:
    """By group of functions: the samples whose innermost function of any group is that group's.

    A group is known by parts of its functions' text, such as `(asyncpg/`; the first that fits takes the function. A
    stack without any is that of `rest`.
    """
    found: Counter[str] = Counter()
    for stack in stacks:
        found[_group_of(stack, groups) or rest] += stack.samples
    return found


def _group_of(stack: Stack, groups: Mapping[str, Sequence[str]]) -> str | None:
    for frame in reversed(stack.frames):
        for group, parts in groups.items():
            if any(part in frame for part in parts) and "(app/cli/" not in frame:
                return group
    return None
