"""What a check has found: a state, what is, and what to do about it, each in a line."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check has ended. Only `FAILED` fails the command."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Result:
    """What a check has found. `mend` is empty if there is nothing to do."""

    state: State
    found: str
    mend: str = ""


def ok(found: str) -> Result:
    """All is well."""
    return Result(State.OK, found)


def warning(found: str, mend: str) -> Result:
    """The server works, but probably not as it is meant to."""
    return Result(State.WARNING, found, mend)


def failed(found: str, mend: str) -> Result:
    """Something does not work."""
    return Result(State.FAILED, found, mend)


def not_checked(found: str) -> Result:
    """There is nothing to check, or it cannot be checked; `found` says why."""
    return Result(State.NOT_CHECKED, found)


def worst(*results: Result) -> Result:
    """All results of one check in one: the worst state, with what is wrong before what is well."""
    order = [State.FAILED, State.WARNING, State.OK, State.NOT_CHECKED]
    sorted_ = sorted(results, key=lambda result: order.index(result.state))
    # What is well is not worth a word beside what is not.
    shown = [result for result in sorted_ if result.state not in order[2:]] or sorted_
    found = "; ".join(dict.fromkeys(result.found for result in shown))
    return Result(sorted_[0].state, found, "; ".join(dict.fromkeys(result.mend for result in shown if result.mend)))
