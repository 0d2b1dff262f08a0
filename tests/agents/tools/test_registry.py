"""What a tool opens for itself lives as long as the process that offers the tool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from app.agents.tools.protocol import (
    ServerTool,
    ToolCall,
    ToolEntry,
    ToolFactory,
    ToolMaker,
    ToolPorts,
    ToolTurn,
    specification,
)
from app.agents.tools.registry import open_tools
from app.content.urls import FileUrls
from app.core.attribution import Attribution
from app.core.database import Database, Transaction
from app.core.settings import Settings
from app.queue.arq import ArqQueue
from app.queue.open import open_redis
from app.storage.local import LocalStore


class Searches:
    """A tool with a connection of its own."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    @property
    def specification(self) -> dict[str, Any]:
        return specification("search", "Searches.", {}, required=[])

    async def run(self, call: ToolCall) -> str:
        self._log.append(f"search {call.arguments['text']}")
        return "{}"


async def test_a_tool_is_opened_once_bound_to_each_turn_and_closed_at_the_end(
    database: Database, environment: dict[str, str], tmp_path: Path
) -> None:
    log: list[str] = []

    @asynccontextmanager
    async def open_factory(settings: Settings, ports: ToolPorts) -> AsyncIterator[ToolFactory]:
        def make(turn: ToolTurn) -> ServerTool:
            log.append(f"bind to {turn.attribution.turn_id}")
            return Searches(log)

        async def load(tx: Transaction) -> ToolMaker:
            log.append("load")
            return make

        log.append("open")
        yield load
        log.append("close")

    settings = Settings.model_validate({name.lower(): value for name, value in environment.items()})
    redis = open_redis(settings)
    ports = ToolPorts(database, ArqQueue(redis), FileUrls(LocalStore(tmp_path), settings.public_url))
    async with open_tools(settings, ports, [ToolEntry("search", open_factory)]) as tools:
        async with database.transaction() as tx:
            loaded = await tools.load(tx, ["search", "removed"])
        for turn_id in ("turn-1", "turn-2"):
            turn = ToolTurn("a-user", Attribution(organization_id="an-organization", turn_id=turn_id), request_key=None)
            bound = loaded.bind(turn)
            await bound.named["search"].run(ToolCall({"text": turn_id}))
    await redis.aclose(close_connection_pool=True)

    assert log == ["open", "load", "bind to turn-1", "search turn-1", "bind to turn-2", "search turn-2", "close"]
