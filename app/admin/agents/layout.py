"""Where the boxes and lines of the tree of agents stand. Pure geometry, in pixels.

Columns go by the longest way from a root, so that every line leads to the right. Each agent is drawn once, below the
first agent of the column before that calls it. A line that passes a column by has a lane of its own there, between
the boxes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

BOX_WIDTH, BOX_HEIGHT = 226, 46
_COLUMN = BOX_WIDTH + 60
_GAP = 14
_LANE_HEIGHT = 10
_ROUND = 8
# Between the ends of several lines that lead to one box.
_PORT = 9


@dataclass(frozen=True)
class Box:
    """An agent; `x` and `y` are its upper left corner."""

    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Edge:
    """A line from an agent to one that it calls.

    Attributes:
        caller: the agent that calls.
        called: the one that is called.
        path: the line, as the `d` of an SVG path.
        places: as which of the caller's sub-agents it is called, counted from 1; usually one number.
        x: where these numbers may stand: their right end.
        y: and their base line.
    """

    caller: str
    called: str
    path: str
    places: tuple[int, ...]
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """A drawing and its size."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


@dataclass
class _Item:
    """Something that takes room in a column: a box, or a lane to `leads_to` if it has no name."""

    depth: int
    name: str = ""
    leads_to: str = ""
    below: list["_Item"] = field(default_factory=list)
    middle: float = 0.0

    @property
    def own_height(self) -> float:
        return BOX_HEIGHT if self.name else _LANE_HEIGHT

    def height(self) -> float:
        """Of the item with everything below it."""
        inner = sum(item.height() for item in self.below) + _GAP * (len(self.below) - 1)
        return max(self.own_height, inner)

    def place(self, top: float) -> None:
        """Give the item and everything below it a place, from `top` down."""
        height = self.height()
        inner = sum(item.height() for item in self.below) + _GAP * (len(self.below) - 1)
        at = top + (height - inner) / 2
        for item in self.below:
            item.place(at)
            at += item.height() + _GAP
        wanted = (self.below[0].middle + self.below[-1].middle) / 2 if self.below else top + height / 2
        half = self.own_height / 2
        self.middle = min(max(wanted, top + half), top + height - half)

    def all(self) -> Iterator["_Item"]:
        """The item and everything below it, from the top down."""
        yield self
        for item in self.below:
            yield from item.all()


def draw(calls: Mapping[str, Sequence[str]], roots: Sequence[str]) -> Drawing:
    """Lay out what can be reached from the roots.

    Args:
        calls: by the name of each agent, whom it calls, in order. Calls that lead back in a circle are not drawn.
        roots: the agents of the first column.
    """
    order = _callers_first(calls, roots)
    below = _without_circles(calls, order)
    depths = _depths(below, order)
    tops = _items(below, depths, order)
    at = 0.0
    for item in tops:
        item.place(at)
        at += item.height() + _GAP
    everything = [item for top in tops for item in top.all()]
    placed = {item.name: item for item in everything if item.name}
    boxes = tuple(Box(name, _x(item), round(item.middle - BOX_HEIGHT / 2, 1)) for name, item in placed.items())
    width = max((_x(item) + BOX_WIDTH for item in placed.values()), default=0)
    return Drawing(width, max(at - _GAP, 0), boxes, tuple(_edges(calls, below, placed)))


def roots_of(calls: Mapping[str, Sequence[str]], names: Sequence[str]) -> list[str]:
    """Agents from which all of these can be reached: those that none of them calls, and one of each circle."""
    called = {below for name in names for below in calls.get(name, ())}
    roots = [name for name in names if name not in called]
    reached = set(_callers_first(calls, roots))
    for name in names:
        if name not in reached:
            roots.append(name)
            reached |= set(_callers_first(calls, [name]))
    return roots


def _callers_first(calls: Mapping[str, Sequence[str]], roots: Sequence[str]) -> list[str]:
    """All that can be reached, each before those that it calls as far as there are no circles."""
    done: list[str] = []
    seen: set[str] = set()
    for root in reversed(roots):
        waiting = [(root, iter(list(reversed(calls.get(root, ())))))] if root not in seen else []
        seen.add(root)
        while waiting:
            name, rest = waiting[-1]
            following = next(rest, None)
            if following is None:
                done.append(name)
                waiting.pop()
            elif following not in seen and following in calls:
                seen.add(following)
                waiting.append((following, iter(list(reversed(calls[following])))))
    return done[::-1]


def _without_circles(calls: Mapping[str, Sequence[str]], order: Sequence[str]) -> dict[str, list[str]]:
    place = {name: number for number, name in enumerate(order)}
    return {
        name: [called for called in dict.fromkeys(calls[name]) if place.get(called, -1) > place[name]] for name in order
    }


def _depths(below: Mapping[str, Sequence[str]], order: Sequence[str]) -> dict[str, int]:
    depths = dict.fromkeys(order, 0)
    for name in order:
        for called in below[name]:
            depths[called] = max(depths[called], depths[name] + 1)
    return depths


def _items(below: Mapping[str, Sequence[str]], depths: Mapping[str, int], order: Sequence[str]) -> list[_Item]:
    """What takes room: the boxes of the first column, with all that is drawn to the right of each."""
    items = {name: _Item(depths[name], name) for name in order}
    owned: set[str] = set()
    for name in order:
        for called in below[name]:
            if depths[called] > depths[name] + 1:
                items[name].below.append(_lane(depths[name] + 1, depths[called], called))
            elif called not in owned:
                owned.add(called)
                items[name].below.append(items[called])
    for name in order:
        items[name].below = _lanes_beside(items[name].below)
    return [items[name] for name in order if depths[name] == 0]


def _lanes_beside(below: Sequence[_Item]) -> list[_Item]:
    """The same with each lane next to the box below which its end stands, so that the lines cross few others."""
    boxes = [item for item in below if item.name]
    holders = {inner.name: box.name for box in boxes for inner in box.all()}
    lanes: dict[str, list[_Item]] = {}
    for lane in below:
        if not lane.name:
            lanes.setdefault(holders.get(lane.leads_to, ""), []).append(lane)
    return [*lanes.get("", ()), *(item for box in boxes for item in [box, *lanes.get(box.name, ())])]


def _lane(first: int, end: int, called: str) -> _Item:
    lane = _Item(first, leads_to=called)
    if first + 1 < end:
        lane.below.append(_lane(first + 1, end, called))
    return lane


def _edges(
    calls: Mapping[str, Sequence[str]], below: Mapping[str, Sequence[str]], placed: Mapping[str, _Item]
) -> Iterator[Edge]:
    further: dict[str, int] = {}
    for name, item in placed.items():
        lanes = {lane.leads_to: lane for lane in item.below if lane.leads_to}
        drawn = {child.name for child in item.below}
        for called in below[name]:
            target, end = placed[called], placed[called].middle
            if called in drawn:
                path = _elbow(item, end)
            else:
                further[called] = further.get(called, 0) + 1
                end += _port(further[called])
                path = _curve(item, lanes.get(called), _x(target), end)
            places = tuple(number for number, each in enumerate(calls[name], start=1) if each == called)
            yield Edge(name, called, path, places, _x(target) - 12, round(end - 5, 1))


def _port(number: int) -> float:
    """Where the further lines to a box end, from its middle: below it, then above it, then further out."""
    port = _PORT * ((number + 1) // 2)
    return min(port, BOX_HEIGHT // 2 - 6) * (1 if number % 2 else -1)


def _x(item: _Item) -> int:
    return item.depth * _COLUMN


def _elbow(item: _Item, end: float) -> str:
    """A line to a box of the next column, with rounded corners."""
    left, middle, right = _x(item) + BOX_WIDTH, _x(item) + BOX_WIDTH + 30, _x(item) + _COLUMN
    drop = end - item.middle
    if abs(drop) < 1:
        return f"M{left} {_n(item.middle)}H{right}"
    radius = min(_ROUND, abs(drop) / 2)
    turn = radius if drop > 0 else -radius
    return (
        f"M{left} {_n(item.middle)}H{_n(middle - radius)}Q{middle} {_n(item.middle)} {middle} {_n(item.middle + turn)}"
        f"V{_n(end - turn)}Q{middle} {_n(end)} {_n(middle + radius)} {_n(end)}H{right}"
    )


def _curve(item: _Item, lane: _Item | None, right: float, end: float) -> str:
    """A line to a box that is drawn below another caller, along its lanes if it passes columns by."""
    x, y = float(_x(item) + BOX_WIDTH), item.middle
    parts = [f"M{_n(x)} {_n(y)}"]
    while lane is not None:
        parts.append(f"{_bend(x, y, _x(lane), lane.middle)}H{_x(lane) + BOX_WIDTH}")
        x, y = _x(lane) + BOX_WIDTH, lane.middle
        lane = lane.below[0] if lane.below else None
    return "".join([*parts, _bend(x, y, right, end)])


def _bend(x: float, y: float, right: float, end: float) -> str:
    middle = (x + right) / 2
    return f"C{_n(middle)} {_n(y)} {_n(middle)} {_n(end)} {_n(right)} {_n(end)}"


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
