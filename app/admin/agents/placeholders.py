"""What the placeholders of an instruction stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.agents.changes import Entries
from app.agents.runtime.model_call_body import PLACEHOLDER

_MOST_SHOWN: Final = 20
# Letters of a line that are shown before and after a placeholder.
_AROUND: Final = 60


@dataclass(frozen=True)
class Placeholder:
    """A placeholder where it stands.

    Attributes:
        line: the number of its line, counted from 1.
        before: what stands before it in the line.
        text: the placeholder itself.
        after: what stands after it.
        writers: the names of the agents whose answers it stands for; if there are none, it stays as it is.
    """

    line: int
    before: str
    text: str
    after: str
    writers: tuple[str, ...]


def placeholders_of(instruction: str, keys: Mapping[str, tuple[str, ...]]) -> list[Placeholder]:
    """The first placeholders of an instruction; `keys` are the agents that write under each output key."""
    found: list[Placeholder] = []
    for number, line in enumerate(instruction.split("\n"), start=1):
        for match in PLACEHOLDER.finditer(line):
            if len(found) == _MOST_SHOWN:
                return found
            before, after = line[: match.start()], line[match.end() :]
            found.append(
                Placeholder(
                    line=number,
                    before=f"…{before[-_AROUND:]}" if len(before) > _AROUND else before,
                    text=match[0],
                    after=f"{after[:_AROUND]}…" if len(after) > _AROUND else after,
                    writers=keys.get(match[1], ()),
                )
            )
    return found


def output_keys(entries: Entries) -> dict[str, tuple[str, ...]]:
    """The output keys of the agents, each with the names of those that write under it."""
    keys: dict[str, tuple[str, ...]] = {}
    for name, entry in entries.items():
        if entry.output_key:
            keys[entry.output_key] = (*keys.get(entry.output_key, ()), name)
    return keys
