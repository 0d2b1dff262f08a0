from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from simulator.faults.parsing import UnknownFaultError, parse_chat_faults, parse_prediction_faults
from simulator.wire import Json

Kind = TypeVar("Kind", str, int)


class InvalidRuleError(ValueError):
    """A rule cannot be understood."""


@dataclass(slots=True)
class Rule:
    """A fault for future requests.

    Attributes:
        fault: As in a model's name.
        model: Pattern (``*``, ``?``) for the model's name without faults; None: any.
        path: Pattern for the request's path; None: any.
        nth: Only the nth request that fits, counted from 1; None: each.
        times: How often it may still happen; None: without limit.
        seen: Requests that fitted so far.
    """

    fault: str
    model: str | None = None
    path: str | None = None
    nth: int | None = None
    times: int | None = None
    seen: int = 0

    def matches(self, model: str, path: str) -> bool:
        """Whether a request is one that the rule is about, and the rule is not used up."""
        if self.times == 0:
            return False
        return _fits(self.model, model) and _fits(self.path, path)

    def take(self) -> bool:
        """Count a request that fits; whether the fault happens to it."""
        self.seen += 1
        if self.nth is not None and self.seen != self.nth:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class RuleBook:
    """The rules in force, in the order of their arrival."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, document: object) -> Rule:
        """Add a rule given as ``{"match": {"model"?, "path"?, "nth"?}, "fault": ..., "times"?: N}``.

        Raises:
            InvalidRuleError: It is not of this form, or there is no such fault.
        """
        rule = _parse_rule(document)
        self._rules.append(rule)
        return rule

    def take(self, faults: frozenset[str], *, model: str, path: str) -> list[str]:
        """Take the faults that a request is to suffer.

        Args:
            faults: Names (without numbers) of the faults that can happen at this point.
            model: The model it is about, without faults.
            path: Its path.
        """
        candidates = [rule for rule in self._rules if _base(rule.fault, faults) and rule.matches(model, path)]
        return [rule.fault for rule in candidates if rule.take()]

    def rules(self) -> list[Rule]:
        """All rules, used up or not."""
        return list(self._rules)

    def clear(self) -> None:
        """Drop all rules."""
        self._rules.clear()


def _fits(pattern: str | None, text: str) -> bool:
    return pattern is None or fnmatchcase(text, pattern)


def _base(fault: str, faults: frozenset[str]) -> bool:
    return fault in faults or fault.rpartition("-")[0] in faults


def _parse_rule(document: object) -> Rule:
    if not isinstance(document, dict) or not isinstance(document.get("fault"), str):
        raise InvalidRuleError("A rule is an object with a fault")
    _check_fault(document["fault"])
    match: Json = document.get("match") or {}
    if not isinstance(match, dict):
        raise InvalidRuleError("match must be an object")
    unknown = (match.keys() - {"model", "path", "nth"}) | (document.keys() - {"match", "fault", "times"})
    if unknown:
        raise InvalidRuleError(f"Unknown fields: {', '.join(sorted(unknown))}")
    model, path = _optional(match, "model", str), _optional(match, "path", str)
    nth, times = _optional(match, "nth", int), _optional(document, "times", int)
    return Rule(document["fault"].lower(), model=model, path=path, nth=nth, times=times)


def _optional(document: Json, name: str, kind: type[Kind]) -> Kind | None:
    value = document.get(name)
    if value is not None and not isinstance(value, kind):
        raise InvalidRuleError(f"{name} must be of type {kind.__name__}")
    return value


def _check_fault(name: str) -> None:
    for parse in (parse_prediction_faults, parse_chat_faults):
        try:
            parse([name])
        except UnknownFaultError:
            continue
        return
    raise InvalidRuleError(f"Unknown fault: {name}")
