"""The organizations of the bench: one that nothing limits, and one whose every request is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.agents import service as agents_service
from app.agents import toml as agent_files
from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.api_keys.scopes import ALL_SCOPES
from app.audit.actor import COMMAND_LINE
from app.core.database import Database, Transaction
from app.core.settings import Settings
from app.credits import service as credits
from app.organizations import service as organizations
from app.resources import open_resources
from bench.turn_cost.upstream import CHAT_MODEL, TOOL_MODEL
from chaos.organizations import CREDITS, import_catalog

_NO_LIMIT = 100_000_000
_MODEL = """
[[models]]
name = "{name}"
kind = "chat"
max_output_tokens = 1000
price = {{ per_million_prompt_tokens = 1, per_million_completion_tokens = 2 }}
"""
# The orchestrator has no tools, so that a plain turn is one call of the model with what the client has said.
_AGENTS = f"""
[[agents]]
name = "orchestrator"
is_orchestrator = true
model = "{CHAT_MODEL}"
instruction = "You are a helpful assistant."

[[agents]]
name = "tooled"
model = "{TOOL_MODEL}"
tools = ["replicate_generate"]
instruction = "You are a helpful assistant."
"""


@dataclass(frozen=True)
class Keys:
    """The API keys of the two organizations."""

    unlimited: str
    refused: str


async def prepare(settings: Settings) -> Keys:
    """Price the models, and make both organizations with their plans, in the database of these settings."""
    async with open_resources(settings) as resources:
        return await _make_organizations(resources.database)


async def _make_organizations(database: Database) -> Keys:
    await import_catalog(database, "".join(_MODEL.format(name=name) for name in (CHAT_MODEL, TOOL_MODEL)))
    return Keys(
        await _make(database, "unlimited", requests_per_minute=_NO_LIMIT),
        await _make(database, "refused", requests_per_minute=1),
    )


async def _make(database: Database, name: str, *, requests_per_minute: int) -> str:
    agents = agent_files.read_agents(_AGENTS)
    async with database.transaction() as tx:
        await _set_plan(tx, name, requests_per_minute)
        made = await organizations.create_organization(
            tx, name=name, plan=name, owner_email=f"{name}@example.com", actor=COMMAND_LINE
        )
        await credits.open_account(tx, made.id)
        reference = f"bench:{made.id}"
        await credits.grant(tx, organization_id=made.id, amount=CREDITS, reference=reference, actor=COMMAND_LINE)
        await agents_service.import_agents(tx, made.id, agents, actor=COMMAND_LINE)
        owner = await organizations.get_member(tx, made, None)
        return await _make_key(tx, made.id, owner.id, ALL_SCOPES)


async def _set_plan(tx: Transaction, name: str, requests_per_minute: int) -> None:
    await organizations.set_plan(
        tx,
        name=name,
        requests_per_minute=requests_per_minute,
        concurrent_requests=_NO_LIMIT,
        concurrent_generations=1,
        monthly_credits=Decimal(0),
        actor=COMMAND_LINE,
    )


async def _make_key(tx: Transaction, organization_id: str, user_id: str, scopes: Sequence[str]) -> str:
    new = await api_keys.create_key(
        tx,
        KeyRequest(name="bench", scopes=scopes),
        organization_id=organization_id,
        user_id=user_id,
        actor=COMMAND_LINE,
    )
    return new.secret
