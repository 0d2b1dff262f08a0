from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.agents.tools.protocol import ToolPorts
from app.agents.tools.registry import open_tools
from app.chat.turns.admit import TurnAdmission
from app.chat.turns.prepare import TurnPreparation
from app.chat.turns.run import Turns
from app.chat.turns.settle import TurnSettlement
from app.chat.turns.settling import SettlingTurns
from app.chat.turns.setups import TurnSetups
from app.chat.turns.turn_policy import TurnPolicy
from app.chat.turns.upstreams import Upstreams
from app.chat_models.protocol import ChatModelClient
from app.content.urls import FileUrls
from app.core.database import Database
from app.core.settings import Settings
from app.queue.protocol import WakeQueue
from app.storage.protocol import ObjectStore


@asynccontextmanager
async def open_turns(
    settings: Settings, *, database: Database, queue: WakeQueue, store: ObjectStore, chat_models: ChatModelClient
) -> AsyncIterator[Turns]:
    """The turns of this process. At the end of the block those that are still running are ended."""
    urls = FileUrls(store, settings.public_url)
    async with open_tools(settings, ToolPorts(database, queue, urls)) as tools:
        policy = TurnPolicy.of(settings)
        setups = TurnSetups(database, Upstreams.of(settings), tools, policy)
        admission = TurnAdmission(database, setups, TurnPreparation(database, chat_models, policy))
        turns = Turns(admission, SettlingTurns(TurnSettlement(database, urls)), database)
        try:
            yield turns
        finally:
            await turns.drain()
