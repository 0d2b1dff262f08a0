import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from simulator.faults import chat, prediction
from simulator.faults.chat import ChatFault
from simulator.faults.prediction import PredictionFault

Kind = TypeVar("Kind", bound=StrEnum)
PredictionFaults = Mapping[PredictionFault, float | None]
"""Faults and their numbers, defaults filled in."""
ChatFaults = Mapping[ChatFault, float | None]

SEPARATOR = "--"
_NUMBERED = re.compile(r"(?P<name>.+)-(?P<number>\d{1,9}(\.\d{1,9})?)")


class UnknownFaultError(ValueError):
    """There is no such fault."""


def parse_prediction_faults(names: list[str]) -> PredictionFaults:
    """Read the suffixes of a Replicate model's name.

    Raises:
        UnknownFaultError: One of them is not a fault.
    """
    return dict(_parse(PredictionFault, prediction.DEFAULT_ARGUMENTS, name) for name in names)


def parse_chat_faults(names: list[str]) -> ChatFaults:
    """Read the suffixes of a chat model's name.

    Raises:
        UnknownFaultError: One of them is not a fault.
    """
    return dict(_parse(ChatFault, chat.DEFAULT_ARGUMENTS, name) for name in names)


def happens(faults: Mapping[Kind, float | None], fault: Kind, nth: int) -> bool:
    """Whether a fault that is limited to the first so many times happens at the nth, counted from 1."""
    if fault not in faults:
        return False
    limit = faults[fault]
    return limit is None or nth <= limit


def _parse(kinds: type[Kind], defaults: Mapping[Kind, float], text: str) -> tuple[Kind, float | None]:
    known = {kind.value: kind for kind in kinds}
    name = text.lower()
    # The whole text first: some names end in a number of their own.
    if name in known:
        return known[name], defaults.get(known[name])
    match = _NUMBERED.fullmatch(name)
    if match and match["name"] in known:
        return known[match["name"]], float(match["number"])
    raise UnknownFaultError(f"Unknown fault: {text}")
