"""What the list of agents shows: the tree, the same in words, and a row for each agent."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.admin.agents.agent_words import TYPE_WORDS, clip
from app.admin.agents.layout import BOX_WIDTH, Drawing, Edge, draw, roots_of
from app.agents.changes import Entries
from app.agents.definition import AgentType
from app.agents.entry import AgentEntry

# More would be neither read nor loaded quickly.
MOST_DRAWN = 60
_NUMBERED = frozenset({AgentType.SEQUENTIAL, AgentType.LOOP})
_SMALL = 11.5


@dataclass(frozen=True)
class Node:
    """A box of the tree. `x` and `y` are its upper left corner."""

    name: str
    x: float
    y: float
    title: str
    detail: str
    kind: AgentType
    is_root: bool
    is_active: bool


@dataclass(frozen=True)
class Tree:
    """A tree of agents as it is drawn. Each edge comes with its sub-agent's place in the order, or an empty text."""

    drawing: Drawing
    nodes: tuple[Node, ...]
    edges: tuple[tuple[Edge, str], ...]


@dataclass(frozen=True)
class Branch:
    """An agent in the tree in words. `is_again` if those below it stand where it is named first."""

    name: str
    kind: str
    is_active: bool
    is_again: bool
    below: tuple["Branch", ...]


@dataclass(frozen=True)
class Row:
    """An agent in the list."""

    entry: AgentEntry
    kind: str
    calls: str
    changed_at: datetime
    spent: Decimal


@dataclass(frozen=True)
class Overview:
    """All agents of an organization.

    Attributes:
        tree: those that the orchestrator reaches; None without an orchestrator, or if there are too many.
        branches: the same in words.
        apart: the others; None if there are none.
        branches_apart: the same in words.
        rows: all of them, in the order of the trees.
        has_orchestrator: whether an agent answers chats.
        is_orchestrator_active: whether it runs.
        is_drawn: whether there are few enough to be drawn.
    """

    tree: Tree | None
    branches: tuple[Branch, ...]
    apart: Tree | None
    branches_apart: tuple[Branch, ...]
    rows: tuple[Row, ...]
    has_orchestrator: bool
    is_orchestrator_active: bool
    is_drawn: bool


def overview_of(
    entries: Entries, changed_at: Mapping[str, datetime], spent: Mapping[str, Decimal], default_model: str
) -> Overview:
    """What is shown of the agents.

    Args:
        entries: the agents by name.
        changed_at: when each was changed last.
        spent: the credits of the last 30 days; absent for agents that made no calls.
        default_model: the model of agents that have none of their own.
    """
    calls = {name: [below for below in entry.sub_agents if below in entries] for name, entry in entries.items()}
    first = [name for name, entry in entries.items() if entry.is_orchestrator]
    reached = list(_reached(calls, first))
    rest = [name for name in entries if name not in set(reached)]
    others = roots_of(calls, rest)
    is_drawn = len(entries) <= MOST_DRAWN
    ordered = [*reached, *_reached(calls, others, set(reached))]
    return Overview(
        tree=_tree(entries, calls, first, default_model) if first and is_drawn else None,
        branches=_branches(entries, calls, first) if is_drawn else (),
        apart=_tree(entries, calls, others, default_model) if others and is_drawn else None,
        branches_apart=_branches(entries, calls, others) if is_drawn else (),
        rows=tuple(_row(entries[name], changed_at[name], spent.get(name, Decimal(0))) for name in ordered),
        has_orchestrator=bool(first),
        is_orchestrator_active=all(entries[name].is_active for name in first),
        is_drawn=is_drawn,
    )


def _reached(calls: Mapping[str, Sequence[str]], first: Sequence[str], seen: set[str] | None = None) -> Iterator[str]:
    """The first agents and all below them, each once, from the top of the tree down."""
    seen = set() if seen is None else seen
    waiting = list(reversed(first))
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            yield name
            waiting += reversed(calls[name])


def _tree(entries: Entries, calls: Mapping[str, Sequence[str]], roots: Sequence[str], default_model: str) -> Tree:
    drawing = draw(calls, roots)
    nodes = tuple(_node(entries[box.name], box.x, box.y, default_model) for box in drawing.boxes)
    return Tree(drawing, nodes, tuple((edge, _places(entries, edge)) for edge in drawing.edges))


def _node(entry: AgentEntry, x: float, y: float, default_model: str) -> Node:
    has_sign = entry.agent_type is not AgentType.LLM
    return Node(
        name=entry.name,
        x=x,
        y=y,
        title=clip(entry.name, BOX_WIDTH - (58 if has_sign else 24)),
        detail=clip(_detail(entry, default_model), BOX_WIDTH - (58 if has_sign else 24), _SMALL),
        kind=entry.agent_type,
        is_root=entry.is_orchestrator,
        is_active=entry.is_active,
    )


def _detail(entry: AgentEntry, default_model: str) -> str:
    match entry.agent_type:
        case AgentType.LLM:
            words = " · ".join([entry.model or default_model, *entry.tools])
        case AgentType.SEQUENTIAL:
            words = "Sequential, in order"
        case AgentType.PARALLEL:
            words = "Parallel, at the same time"
        case AgentType.LOOP:
            words = f"Loop, up to {entry.max_iterations} rounds"
    return words if entry.is_active else f"Off · {words}"


def _places(entries: Entries, edge: Edge) -> str:
    return ", ".join(map(str, edge.places)) if entries[edge.caller].agent_type in _NUMBERED else ""


def _branches(entries: Entries, calls: Mapping[str, Sequence[str]], roots: Sequence[str]) -> tuple[Branch, ...]:
    named: set[str] = set()

    def branch(name: str, above: tuple[str, ...]) -> Branch:
        is_again = name in named and bool(calls[name])
        named.add(name)
        below = [] if is_again else [each for each in dict.fromkeys(calls[name]) if each not in above]
        entry = entries[name]
        return Branch(
            name=name,
            kind=TYPE_WORDS[entry.agent_type],
            is_active=entry.is_active,
            is_again=is_again,
            below=tuple(branch(each, (*above, each)) for each in below),
        )

    return tuple(branch(root, (root,)) for root in roots)


def _row(entry: AgentEntry, changed_at: datetime, spent: Decimal) -> Row:
    separator = ", then " if entry.agent_type in _NUMBERED else ", "
    return Row(entry, TYPE_WORDS[entry.agent_type], separator.join(entry.sub_agents), changed_at, spent)
