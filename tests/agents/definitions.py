"""Agents for tests, with chat models whose prices are easy to calculate with."""

import json
from decimal import Decimal
from typing import Any

from app.core.database import Database
from simulator.media.scene import NOTICE
from tests import factories
from tests.factories import Organization

# Credits per million tokens of the prompt and of the answer: one token costs one or two of the smallest units.
PROMPT_PRICE, COMPLETION_PRICE = Decimal(1), Decimal(2)
LONGEST_ANSWER = 1000
# A model that fails, and one that never answers.
BROKEN = "sim-chat--status-500"
STUCK = "sim-chat--stall-0"


def container(kind: str, *names: str, name: str = "host", **fields: Any) -> dict[str, Any]:
    """An agent that runs the agents of these names; `kind` is `SEQUENTIAL`, `PARALLEL` or `LOOP`."""
    return {"name": name, "agent_type": f"{kind}_AGENT", "sub_agents": list(names), **fields}


def agent(name: str, model: str | None = None, **fields: Any) -> dict[str, Any]:
    """An agent whose model has the agent's name, so that the simulator's log shows which agent called it."""
    return {"name": name, "model": model or f"{name}-model", **fields}


def prose(words: str) -> str:
    """The answer of the simulator's models to words that hold no command."""
    return f"This is a simulated answer ({NOTICE}). You said: {words}"


def agents_file(*agents: dict[str, Any]) -> str:
    """The agents as a TOML file. Text, numbers, booleans and lists of text are written alike in JSON and TOML."""
    entries = ["\n".join(f"{name} = {json.dumps(value)}" for name, value in agent.items()) for agent in agents]
    return "\n".join(f"[[agents]]\n{entry}\n" for entry in entries)


async def price_chat_models(
    database: Database,
    *names: str,
    upstream: str | None = None,
    upstream_model: str | None = None,
    completion_price: Decimal = COMPLETION_PRICE,
) -> None:
    """Price chat models. They run at the operator's default upstream unless another one is named."""
    route = {"upstream": upstream, "upstream_model": upstream_model}
    lines = [f"{name} = {json.dumps(value)}" for name, value in route.items() if value]
    price = f"{{ per_million_prompt_tokens = {PROMPT_PRICE}, per_million_completion_tokens = {completion_price} }}"
    for name in names:
        entry = [f"name = {json.dumps(name)}", 'kind = "chat"', f"max_output_tokens = {LONGEST_ANSWER}", *lines]
        await factories.import_catalog(database, "\n".join(["[[models]]", *entry, f"price = {price}"]))


async def make_team(database: Database, *agents: dict[str, Any], credit: str = "100") -> Organization:
    """An organization with these agents, their models priced. The first is the orchestrator."""
    first, *others = agents
    await price_chat_models(database, *{agent["model"] for agent in agents if "model" in agent})
    text = agents_file({**first, "is_orchestrator": True}, *others)
    return await factories.make_organization(database, agents=text, credit=credit)


async def make_host(database: Database, model: str = "sim-chat", *, credit: str = "100", **fields: Any) -> Organization:
    """An organization whose orchestrator has this model, and no instruction or tools unless they are given."""
    return await make_team(database, {"name": "host", "model": model, **fields}, credit=credit)
