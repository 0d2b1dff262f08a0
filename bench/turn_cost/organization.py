"""The organization of the bench, which nothing limits but one of its keys."""

from dataclasses import dataclass
from decimal import Decimal

from app.agents import service as agents_service
from app.agents import toml as agent_files
from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.api_keys.scopes import ALL_SCOPES
from app.audit.actor import COMMAND_LINE
from app.core.database import Transaction
from app.core.settings import Settings
from app.credits import service as credits
from app.organizations import service as organizations
from app.resources import open_resources
from bench.turn_cost.upstream import CHAT_MODEL, TOOL_MODEL
from chaos.organizations import CREDITS, import_catalog

_NAME = "bench"
_NO_LIMIT = 100_000_000
_LIMITS = {
    "requests_per_minute": _NO_LIMIT,
    "concurrent_requests": _NO_LIMIT,
    "concurrent_generations": 1,
}
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
    """The organization's API keys: one that nothing limits, and one that may ask once an hour."""

    unlimited: str
    refused: str


async def prepare(settings: Settings) -> Keys:
    """Price the models, and make the organization with its plan, in the database of these settings."""
    async with open_resources(settings) as resources:
        await import_catalog(resources.database, "".join(_MODEL.format(name=name) for name in (CHAT_MODEL, TOOL_MODEL)))
        async with resources.database.transaction() as tx:
            await organizations.set_plan(tx, name=_NAME, **_LIMITS, monthly_credits=Decimal(0), actor=COMMAND_LINE)
            return await _make_organization(tx)


async def _make_organization(tx: Transaction) -> Keys:
    made = await organizations.create_organization(
        tx, name=_NAME, plan=_NAME, owner_email="bench@example.com", actor=COMMAND_LINE
    )
    await credits.open_account(tx, made.id)
    reference = f"bench:{made.id}"
    await credits.grant(tx, organization_id=made.id, amount=CREDITS, reference=reference, actor=COMMAND_LINE)
    await agents_service.import_agents(tx, made.id, agent_files.read_agents(_AGENTS), actor=COMMAND_LINE)
    owner = await organizations.get_member(tx, made, None)
    return Keys(await _make_key(tx, made.id, owner.id), await _make_key(tx, made.id, owner.id, requests_per_hour=1))


async def _make_key(
    tx: Transaction, organization_id: str, user_id: str, *, requests_per_hour: int | None = None
) -> str:
    new = await api_keys.create_key(
        tx,
        KeyRequest(name="bench", scopes=ALL_SCOPES, requests_per_hour=requests_per_hour),
        organization_id=organization_id,
        user_id=user_id,
        actor=COMMAND_LINE,
    )
    return new.secret
