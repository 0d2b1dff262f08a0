import secrets

from app.agents.repository import list_agents
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.credits.repository import find_balance
from app.onboarding.new_organization import set_up_organization
from app.organizations import service as organizations


async def test_a_founded_organization_has_an_owner_an_account_and_an_orchestrator(database: Database) -> None:
    name = f"Founded {secrets.token_hex(6)}"
    email = f"{secrets.token_hex(6)}@example.com"

    async with database.transaction() as tx:
        made = await set_up_organization(tx, name=name, plan="roomy", owner_email=email, actor=COMMAND_LINE)

    async with database.transaction() as tx:
        owner = await organizations.get_member(tx, made, None)
        agents = await list_agents(tx, made.id)
        balance = await find_balance(tx, made.id)
    assert owner.email == email
    assert [agent.name for agent in agents if agent.is_orchestrator] == ["orchestrator"]
    assert [agent.name for agent in agents if not agent.tools] == ["writer"]
    assert balance is not None
    assert not any((balance.balance, balance.held, balance.available))
