"""The clients' accounts: an organization with agents whose models fail in various ways, and restricted keys."""

import secrets
from dataclasses import dataclass
from decimal import Decimal

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.organizations import service as organizations
from tests import factories
from tests.factories import Organization

# The simulator refuses one request for this model when a test orders that.
RECOVERING_MODEL = "contract-recovering"

_MODELS_BY_AGENT = {
    "plain": "sim-chat",
    "broken": "sim-chat--html-502",
    "busy": "sim-chat--status-429-1",
    "interrupted": "sim-chat--error-frame-3",
    "recovering": RECOVERING_MODEL,
    "silent": "sim-chat--first-token-slow-25",
    "stalled": "sim-chat--stall-3",
    "stalled-1": "sim-chat--stall-1",
    "stalled-2": "sim-chat--stall-2",
    "stalled-3": "sim-chat--stall-3",
}
_AGENTS = '[[agents]]\nname = "orchestrator"\nis_orchestrator = true\ntools = ["replicate_generate"]\n' + "".join(
    f'[[agents]]\nname = "{agent}"\nmodel = "{model}"\n' for agent, model in _MODELS_BY_AGENT.items()
)
_CATALOG = "".join(
    f'[[models]]\nname = "{model}"\nkind = "chat"\nmax_output_tokens = 1000\n'
    "price = { per_million_prompt_tokens = 1, per_million_completion_tokens = 2 }\n"
    for model in dict.fromkeys(_MODELS_BY_AGENT.values())
)
# What is asked for without an agent: images of any size, changed ones, speech and vectors.
_CATALOG += """
[[models]]
name = "black-forest-labs/flux-schnell"
kind = "generation"
price = { per_output = 0.003, ceiling = 0.012 }
[models.images]
size = { "*" = { width = "{width}", height = "{height}" } }

[[models]]
name = "simulator/edit--slow-1"
kind = "generation"
price = { per_output = 0.004, ceiling = 0.016 }
edits = { images = "image_input" }

[[models]]
name = "simulator/audio--slow-1"
kind = "generation"
price = { per_call = 0.01, ceiling = 0.05 }
speech = { voice = { alloy = { voice = "calm" } } }

[[models]]
name = "sim-embed"
kind = "embedding"
price = { per_million_prompt_tokens = 1 }
"""
_PLAN = "one-request-a-minute"


@dataclass(frozen=True)
class Account:
    """An organization, and API keys named by what they may do."""

    organization: Organization
    keys: dict[str, str]


async def open_account(database: Database) -> Account:
    """A new organization with an agent for each of the models above, and keys of this and other organizations."""
    await factories.import_catalog(database, _CATALOG)
    await _set_plan(database)
    organization = await factories.make_organization(database, agents=_AGENTS)
    without_credits = await factories.make_organization(database, credit="0", agents=_AGENTS)
    one_a_minute = await factories.make_organization(database, plan=_PLAN, agents=_AGENTS)
    keys = {
        "every_scope": organization.api_key,
        "lists_agents": await factories.make_key(database, organization, "agents:list"),
        "without_credits": without_credits.api_key,
        "one_a_minute": one_a_minute.api_key,
        "unknown": f"jns_live_{secrets.token_hex(16)}",
    }
    return Account(organization, keys)


async def _set_plan(database: Database) -> None:
    async with database.transaction() as tx:
        await organizations.set_plan(
            tx,
            name=_PLAN,
            requests_per_minute=1,
            concurrent_requests=10,
            concurrent_generations=10,
            monthly_credits=Decimal(0),
            actor=COMMAND_LINE,
        )
