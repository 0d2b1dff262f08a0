from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.agents.definition import AgentDefinition
from app.agents.runtime.model_calls import ModelRoute
from app.agents.tools.registry import LoadedTools, ToolRegistry
from app.catalog import service as catalog
from app.catalog.service import PricedModel
from app.chat.turns.targets import Target, find_agent
from app.chat.turns.turn_policy import TurnPolicy
from app.chat.turns.upstreams import Upstreams
from app.configuration import service as configuration
from app.core.database import Database, Transaction

_MOST_REMEMBERED = 1000


@dataclass(frozen=True)
class TurnSetup:
    """What rarely changes of the turns of one agent.

    Attributes:
        version: the version of the configuration that it is made of, at the latest.
        valid_until: when one of its models has another price next, by Postgres's clock; None if no such price is known.
        agent: the agent, with everything below it.
        models: the chat models that they may call, by name.
        routes: where these run.
        tools: the server tools that they have.
    """

    version: int
    valid_until: datetime | None
    agent: AgentDefinition
    models: Mapping[str, PricedModel]
    routes: Mapping[str, ModelRoute]
    tools: LoadedTools


class TurnSetups:
    """Remembers the setups of agents, so that a turn reads nothing that rarely changes.

    What is remembered may have changed since: the statement that admits a turn compares the version; see
    `app.configuration.service`.
    """

    def __init__(self, database: Database, upstreams: Upstreams, tools: ToolRegistry, policy: TurnPolicy) -> None:
        self._database = database
        self._upstreams = upstreams
        self._tools = tools
        self._policy = policy
        self._known: OrderedDict[tuple[str, Target], TurnSetup] = OrderedDict()

    async def get(self, organization_id: str, target: Target, *, tx: Transaction | None = None) -> TurnSetup:
        """The setup of the agent that a request is for. If it has to be read, that is in the transaction, if any.

        Raises:
            AgentNotFoundError, AgentInactiveError, AgentNotInvocableError, AgentCycleError: it cannot be talked to.
            ModelNotPricedError: one of its models has no price.
            ProviderError: one of its models names an upstream that is not configured.
        """
        key = organization_id, target
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        if tx is not None:
            return self._remember(key, await self._load(tx, organization_id, target))
        async with self._database.transaction() as own:
            return self._remember(key, await self._load(own, organization_id, target))

    def forget(self, organization_id: str, target: Target) -> None:
        """Drop what is remembered of an agent. The next turn reads it from Postgres again."""
        self._known.pop((organization_id, target), None)

    def _remember(self, key: tuple[str, Target], setup: TurnSetup) -> TurnSetup:
        self._known[key] = setup
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return setup

    async def _load(self, tx: Transaction, organization_id: str, target: Target) -> TurnSetup:
        # First: what is read after it is as new, or newer.
        version = await configuration.read_version(tx, organization_id)
        agent = await find_agent(tx, organization_id, target, self._policy.default_model)
        valid_until = await catalog.next_price_change(tx, agent.models())
        models = {name: await catalog.get_chat_model(tx, name) for name in agent.models()}
        return TurnSetup(
            version=version,
            valid_until=valid_until,
            agent=agent,
            models=models,
            routes={name: self._upstreams.route(model, self._policy.image_tokens) for name, model in models.items()},
            tools=await self._tools.load(tx, agent.tool_names()),
        )
