"""Organizations with credits, agents and keys, and the prices of what they ask for."""

from dataclasses import dataclass
from decimal import Decimal

from app.agents import service as agents_service
from app.agents import toml as agent_files
from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.api_keys.scopes import ALL_SCOPES
from app.audit.actor import COMMAND_LINE
from app.catalog import service as catalog_service
from app.catalog import toml as catalog_files
from app.core.database import Database, Transaction
from app.credits import service as credits
from app.organizations import service as organizations

_PLAN = "busy"
CREDITS = Decimal(100_000)
_CHAT_MODEL = """
[[models]]
name = "{name}"
kind = "chat"
max_output_tokens = 1000
price = {{ per_million_prompt_tokens = 1, per_million_completion_tokens = 2 }}
"""


@dataclass(frozen=True)
class Organization:
    """An organization, its owner, and the owner's key."""

    id: str
    user_id: str
    api_key: str


async def set_prices(database: Database, *models: str, chat_model: str = "sim-chat") -> None:
    """Price the simulator's chat model, and these models at 0.01 credits an output."""
    entries = [
        f'[[models]]\nname = "{name}"\nkind = "generation"\nprice = {{ per_output = 0.01, ceiling = 0.1 }}\n'
        for name in models
    ]
    await import_catalog(database, "\n".join([_CHAT_MODEL.format(name=chat_model), *entries]))


async def import_catalog(database: Database, text: str) -> None:
    """Price what a catalog file names."""
    async with database.transaction() as tx:
        await catalog_service.import_catalog(tx, catalog_files.read_catalog(text), actor=COMMAND_LINE)


async def set_plan(database: Database, *, concurrent_generations: int) -> None:
    """The plan of all organizations; only its limit of concurrent generations is ever reached."""
    async with database.transaction() as tx:
        await organizations.set_plan(
            tx,
            name=_PLAN,
            requests_per_minute=100_000,
            concurrent_requests=1000,
            concurrent_generations=concurrent_generations,
            monthly_credits=Decimal(0),
            actor=COMMAND_LINE,
        )


async def make_organization(
    database: Database, name: str, *, credit: Decimal = CREDITS, further_agents: str = ""
) -> Organization:
    """A new organization with the starter agents and, unless `credit` says otherwise, more credits than it will need.

    `further_agents` is added to the file of the starter agents.
    """
    starters = agent_files.STARTER_AGENTS.read_text(encoding="utf-8")
    agents = agent_files.read_agents(f"{starters}\n{further_agents}")
    async with database.transaction() as tx:
        made = await organizations.create_organization(
            tx, name=name, plan=_PLAN, owner_email=f"{name}@example.com", actor=COMMAND_LINE
        )
        await credits.open_account(tx, made.id)
        await _grant(tx, made.id, credit, "first")
        await agents_service.import_agents(tx, made.id, agents, actor=COMMAND_LINE)
        owner = await organizations.get_member(tx, made, None)
        new = await api_keys.create_key(
            tx,
            KeyRequest(name="chaos", scopes=ALL_SCOPES),
            organization_id=made.id,
            user_id=owner.id,
            actor=COMMAND_LINE,
        )
        secret = new.secret
    return Organization(made.id, owner.id, secret)


async def grant(database: Database, organization_id: str, amount: Decimal, name: str) -> None:
    """Grant credits once for each name."""
    async with database.transaction() as tx:
        await _grant(tx, organization_id, amount, name)


async def _grant(tx: Transaction, organization_id: str, amount: Decimal, name: str) -> None:
    await credits.grant(
        tx,
        organization_id=organization_id,
        amount=amount,
        reference=f"chaos:{organization_id}:{name}",
        actor=COMMAND_LINE,
    )
