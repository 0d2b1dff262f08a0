"""Creates what tests need in the database, with the product's own services."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.agents import service as agents_service
from app.agents import toml as agent_files
from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.api_keys.scopes import ALL_SCOPES
from app.audit.actor import COMMAND_LINE
from app.catalog import service as catalog_service
from app.catalog import toml as catalog_files
from app.core.database import Database
from app.credits import service as credits
from app.credits.balance import Balance
from app.organizations import service as organizations

# Prices that are easy to calculate with, for the simulator's models; chats cost a credit per million tokens.
TEST_CATALOG = """
[[models]]
name = "sim-chat"
kind = "chat"
max_output_tokens = 1000
price = { per_million_prompt_tokens = 1, per_million_completion_tokens = 2 }

[[models]]
name = "sim-metered"
kind = "chat"
max_output_tokens = 1000
price = { per_million_prompt_tokens = 0, per_million_completion_tokens = 1 }

[[models]]
name = "simulator/image"
kind = "generation"
description = "Pictures."
price = { per_output = 0.003, ceiling = 0.012 }

[[models]]
name = "simulator/video"
kind = "generation"
price = { per_call = 0.5, ceiling = 0.5 }

[[models]]
name = "simulator/audio"
kind = "generation"
price = { per_second = 0.001, ceiling = 1 }

[[models]]
name = "simulator/glb"
kind = "generation"
price = { per_call = 0.1, per_output = 0.05, ceiling = 0.2 }

[[models]]
name = "simulator/text"
kind = "generation"
price = { per_call = 0, ceiling = 0 }

[[models]]
name = "simulator/json"
kind = "generation"
price = { per_call = 0.000001, ceiling = 0.000001 }
"""


@dataclass(frozen=True)
class Organization:
    """An organization and a key of its owner."""

    id: str
    name: str
    user_id: str
    api_key: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.api_key}


async def make_organization(
    database: Database,
    *,
    credit: str = "100",
    scopes: Sequence[str] = ALL_SCOPES,
    plan: str = "roomy",
    agents: str | None = None,
) -> Organization:
    """A new organization with credits, agents (the starter ones by default) and a key with these scopes."""
    name = f"org {secrets.token_hex(6)}"
    agents = agents or agent_files.STARTER_AGENTS.read_text()
    async with database.transaction() as tx:
        made = await organizations.create_organization(
            tx, name=name, plan=plan, owner_email=f"{name[4:]}@example.com", actor=COMMAND_LINE
        )
        await credits.open_account(tx, made.id)
        if Decimal(credit):
            await credits.grant(
                tx, organization_id=made.id, amount=Decimal(credit), reference=f"test:{made.id}", actor=COMMAND_LINE
            )
        await agents_service.import_agents(tx, made.id, agent_files.read_agents(agents), actor=COMMAND_LINE)
        owner = await organizations.get_member(tx, made, None)
        new = await api_keys.create_key(
            tx, KeyRequest(name="test", scopes=scopes), organization_id=made.id, user_id=owner.id, actor=COMMAND_LINE
        )
        secret = new.secret
    return Organization(made.id, name, owner.id, secret)


async def set_roomy_plan(database: Database) -> None:
    """Create a plan whose limits no test reaches by accident."""
    async with database.transaction() as tx:
        await organizations.set_plan(
            tx,
            name="roomy",
            requests_per_minute=100_000,
            concurrent_requests=1000,
            concurrent_generations=1000,
            monthly_credits=Decimal(0),
            actor=COMMAND_LINE,
        )


async def make_key(database: Database, organization: Organization, *scopes: str, **properties: Any) -> str:
    """Create one more key for the organization; returns the key.

    Without scopes it has the default ones; `properties` are its others, as `KeyRequest` has them.
    """
    async with database.transaction() as tx:
        new = await api_keys.create_key(
            tx,
            KeyRequest(name="test", scopes=scopes, **properties),
            organization_id=organization.id,
            user_id=organization.user_id,
            actor=COMMAND_LINE,
        )
    return new.secret


async def import_catalog(database: Database, text: str = TEST_CATALOG) -> None:
    """Import a catalog of models and prices."""
    async with database.transaction() as tx:
        await catalog_service.import_catalog(tx, catalog_files.read_catalog(text), actor=COMMAND_LINE)


async def price_models(database: Database, *names: str, ceiling: str = "1") -> None:
    """Price generation models, such as the simulator's faulty ones, at a tenth of their ceiling a call."""
    price = f"{{ per_call = {Decimal(ceiling) / 10}, ceiling = {ceiling} }}"
    entries = [f'[[models]]\nname = "{name}"\nkind = "generation"\nprice = {price}\n' for name in names]
    await import_catalog(database, "\n".join(entries))


async def balance_of(database: Database, organization: Organization) -> Balance:
    """The organization's balance and what of it is held."""
    async with database.transaction() as tx:
        return await credits.get_balance(tx, organization.id)
