from app.agents.service import import_agents
from app.agents.toml import read_starter_agents
from app.audit.actor import Actor
from app.core.database import Transaction
from app.credits.service import open_account
from app.organizations.models import Organization
from app.organizations.service import create_organization


async def set_up_organization(tx: Transaction, *, name: str, plan: str, owner_email: str, actor: Actor) -> Organization:
    """Create an organization that is ready to use: with its owner, its credit account and the starter agents.

    Raises:
        PlanNotFoundError: there is no such plan.
        OrganizationExistsError: the name is taken.
        InvalidRequestError: the name is empty, or the address is not an email address.
    """
    organization = await create_organization(tx, name=name, plan=plan, owner_email=owner_email, actor=actor)
    await open_account(tx, organization.id)
    await import_agents(tx, organization.id, read_starter_agents(), actor=actor)
    return organization
