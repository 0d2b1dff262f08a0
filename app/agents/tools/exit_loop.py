from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.agents.tools.protocol import (
    OfferedTo,
    ToolCall,
    ToolEntry,
    ToolFactory,
    ToolMaker,
    ToolPorts,
    ToolTurn,
    specification,
)
from app.core.database import Transaction
from app.core.settings import Settings

_NAME = "exit_loop"


@dataclass(frozen=True)
class ExitLoop:
    """Lets an agent end the loop that it runs in."""

    @property
    def specification(self) -> dict[str, Any]:
        description = "End the loop. Call it only when nothing is left to improve."
        return specification(_NAME, description, {}, required=[])

    async def run(self, call: ToolCall) -> str:
        """End the loop once the agent has finished."""
        if call.loop is not None:
            call.loop.set()
        return '{"ended":true}'


@asynccontextmanager
async def _open_factory(settings: Settings, ports: ToolPorts) -> AsyncIterator[ToolFactory]:
    def make(turn: ToolTurn) -> ExitLoop:
        return ExitLoop()

    async def load(tx: Transaction) -> ToolMaker:
        return make

    yield load


ENTRY = ToolEntry(_NAME, _open_factory, OfferedTo.AGENTS_IN_A_LOOP)
