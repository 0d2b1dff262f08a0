"""What is to become of an organization's agents, found out before anything is written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from app.agents.entry import AgentEntry
from app.agents.errors import AgentRefusedError

# Of a circle's agents, so many are named.
_MOST_NAMED = 12

# The agents of an organization by their names.
Entries = Mapping[str, AgentEntry]


@dataclass(frozen=True)
class Change:
    """One agent before and after; `before` is None for a new one."""

    before: AgentEntry | None
    after: AgentEntry

    @property
    def name(self) -> str:
        """The agent's name, which never changes."""
        return self.after.name


def planned_changes(current: Entries, wanted: Sequence[AgentEntry]) -> list[Change]:
    """What changes if the wanted entries are added to the current ones, or take the place of those of their names.

    If one of them is the orchestrator, the current one loses the role: that is a change too, and the last. Entries
    that are wanted as they are make no change.

    Raises:
        AgentRefusedError: one calls an agent that there is none of, or the agents would form a circle.
    """
    after = {**current, **{entry.name: entry for entry in wanted}}
    changed = list(dict.fromkeys(entry.name for entry in wanted))
    if any(entry.is_orchestrator for entry in wanted):
        displaced = [name for name, entry in current.items() if entry.is_orchestrator and name not in changed]
        after.update({name: current[name].model_copy(update={"is_orchestrator": False}) for name in displaced})
        changed += displaced
    _refuse_unknown(after, changed)
    _refuse_circles(after, changed)
    return [Change(current.get(name), after[name]) for name in changed if current.get(name) != after[name]]


def find_circle(entries: Entries, first: Collection[str] = ()) -> list[str]:
    """A circle of agents that call each other: `[a, b, a]` if a calls b and b calls a. Empty if there is none.

    If one of the agents of `first` is in it, the circle begins with it.
    """
    below = {name: [called for called in entry.sub_agents if called in entries] for name, entry in entries.items()}
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        # From each agent to one that calls it; the first is named again at the end.
        circle: list[str] = list(reversed(error.args[1]))[1:]
        start = next((position for position, name in enumerate(circle) if name in first), 0)
        return [*circle[start:], *circle[:start], circle[start]]
    return []


def callers_of(entries: Entries, name: str) -> list[str]:
    """The names of the agents that have the agent among their sub-agents."""
    return [caller for caller, entry in entries.items() if name in entry.sub_agents]


def way_to(entries: Entries, caller: str, called: str) -> list[str]:
    """The shortest way of calls from one agent to another, with both; empty if there is none."""
    ways = {caller: [caller]}
    waiting = [caller]
    while waiting and called not in ways:
        following: list[str] = []
        for name in waiting:
            for below in entries[name].sub_agents:
                if below in entries and below not in ways:
                    ways[below] = [*ways[name], below]
                    following.append(below)
        waiting = following
    return ways.get(called, [])


def in_words(circle: Sequence[str]) -> str:
    """The circle as `writer → editor → writer`."""
    if len(circle) > _MOST_NAMED:
        circle = [*circle[: _MOST_NAMED - 1], "…", circle[-1]]
    return " → ".join(circle)


def _refuse_unknown(entries: Entries, changed: Sequence[str]) -> None:
    for name in changed:
        for called in entries[name].sub_agents:
            if called not in entries:
                raise AgentRefusedError(f"{name} cannot call {called}: there is no agent {called}", param="sub_agents")


def _refuse_circles(entries: Entries, changed: Sequence[str]) -> None:
    circle = find_circle(entries, first=changed)
    if circle:
        raise AgentRefusedError(
            f"{circle[0]} is its own sub-agent, directly or indirectly: {in_words(circle)}", param="sub_agents"
        )
