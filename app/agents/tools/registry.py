"""The server tools. To add one, write its module in this folder and add its entry to `_ENTRIES`."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.agents.tools import exit_loop, replicate_generate
from app.agents.tools.protocol import OfferedTo, ServerTool, ToolEntry, ToolFactory, ToolMaker, ToolPorts, ToolTurn
from app.core.database import Transaction
from app.core.settings import Settings

_ENTRIES = (replicate_generate.ENTRY, exit_loop.ENTRY)

TOOL_NAMES = tuple(entry.name for entry in _ENTRIES)
# What the `tools` of an agent may name.
NAMEABLE_TOOLS = tuple(entry.name for entry in _ENTRIES if entry.offered_to is OfferedTo.AGENTS_THAT_NAME_IT)
# What each of them does.
TOOL_SUMMARIES = {entry.name: entry.summary for entry in _ENTRIES if entry.name in NAMEABLE_TOOLS}


@dataclass(frozen=True)
class BoundTools:
    """The server tools of one turn, by name: those that its agents name, and those of agents in a loop."""

    named: Mapping[str, ServerTool]
    for_loops: Mapping[str, ServerTool]


@dataclass(frozen=True)
class LoadedTools:
    """The server tools of an agent and of those below it, ready for any number of turns."""

    named: Mapping[str, ToolMaker]
    for_loops: Mapping[str, ToolMaker]

    def bind(self, turn: ToolTurn) -> BoundTools:
        """The tools of one turn."""
        named = {name: make(turn) for name, make in self.named.items()}
        return BoundTools(named, {name: make(turn) for name, make in self.for_loops.items()})


class ToolRegistry:
    """The server tools of a process."""

    def __init__(self, factories: Mapping[ToolEntry, ToolFactory]) -> None:
        self._factories = factories

    async def load(self, tx: Transaction, names: Collection[str]) -> LoadedTools:
        """The tools of these names, and all that are offered in loops.

        A name that the registry does not have is ignored: an agent may still name a tool that was removed.
        """
        named, for_loops = {}, {}
        for entry, load in self._factories.items():
            if entry.offered_to is OfferedTo.AGENTS_IN_A_LOOP:
                for_loops[entry.name] = await load(tx)
            elif entry.name in names:
                named[entry.name] = await load(tx)
        return LoadedTools(named, for_loops)


@asynccontextmanager
async def open_tools(
    settings: Settings, ports: ToolPorts, entries: Sequence[ToolEntry] = _ENTRIES
) -> AsyncIterator[ToolRegistry]:
    """The server tools of this process, with what they have opened for themselves, which is closed at the end."""
    async with AsyncExitStack() as stack:
        opened = [(entry, await stack.enter_async_context(entry.open_factory(settings, ports))) for entry in entries]
        yield ToolRegistry(dict(opened))
