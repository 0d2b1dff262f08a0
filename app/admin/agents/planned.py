"""What an import would change, for those who decide whether it is made."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from app.admin.agents.past import Alteration, alterations_of
from app.agents.changes import Change, Entries


@dataclass(frozen=True)
class PlannedChange:
    """An agent that would be new, or other than it is."""

    name: str
    is_new: bool
    alterations: tuple[Alteration, ...]


@dataclass(frozen=True)
class Planned:
    """What an import would change.

    Attributes:
        changes: the agents that would be new or other.
        warnings: what it would lead to that nobody may have meant.
        seal: differs if anything else would change.
    """

    changes: tuple[PlannedChange, ...]
    warnings: tuple[str, ...]
    seal: str


def planned_of(changes: Sequence[Change], entries: Entries, models: Collection[str], seal: str) -> Planned:
    """What an import would change; `models` are the chat models of the catalog that have a price."""
    shown = tuple(
        PlannedChange(each.name, each.before is None, alterations_of(each.before, each.after)) for each in changes
    )
    after = {**entries, **{each.name: each.after for each in changes}}
    return Planned(shown, tuple(_warnings(changes, after, models)), seal)


def _warnings(changes: Sequence[Change], after: Entries, models: Collection[str]) -> list[str]:
    warnings = [
        f"{each.name} has the model {each.after.model}, which the catalog has no price for: its calls are refused."
        for each in changes
        if each.after.model and each.after.model not in models
    ]
    orchestrators = [entry for entry in after.values() if entry.is_orchestrator]
    if not orchestrators:
        warnings.append("No agent would be the orchestrator: every chat is refused.")
    warnings += [
        f"{entry.name} is the orchestrator and would be off: every chat is refused."
        for entry in orchestrators
        if not entry.is_active
    ]
    return warnings
