"""The organization Demo of the quickstart: what it has, and how to use it."""

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.api_keys.scopes import ALL_SCOPES
from app.audit.actor import Actor
from app.catalog.service import import_missing_models, is_chat_model_priced
from app.catalog.toml import read_catalog, read_starter_catalog
from app.core.crypto import random_alphanumeric
from app.core.database import Transaction
from app.credits import service as credits
from app.onboarding.new_organization import set_up_organization
from app.organizations import service as organizations
from app.organizations.errors import OrganizationNotFoundError
from app.organizations.models import Organization

_ORGANIZATION, _PLAN, _OWNER, _KEY = "Demo", "pro", "admin@example.com", "quickstart"
_CREDITS = Decimal(100)
_PASSWORD_LENGTH = 20
# The simulated models cost something too, so that a demonstration shows real bills.
_DEMO_CATALOG = Path(__file__).with_name("demo_catalog.toml")


@dataclass(frozen=True)
class Demo:
    """What is needed to use the demo organization, and whether its chats have a price."""

    api_key: str = field(repr=False)
    admin_email: str
    admin_password: str = field(repr=False)
    is_chat_priced: bool


async def set_up_demo(tx: Transaction, *, chat_model: str, actor: Actor) -> Demo:
    """Create the demo organization with credits, agents and a catalog.

    It is idempotent except for the key and the password. If the organization exists already, it keeps what it has, and
    only its password and its quickstart key are replaced. Models that the catalog has already keep their prices.

    Args:
        tx: the transaction.
        chat_model: the chat model of agents that name none.
        actor: who sets it up.

    Raises:
        MemberNotFoundError: an organization with this name exists, but is not the demo's: it has another owner.
    """
    for catalog in (read_starter_catalog(), read_catalog(_DEMO_CATALOG.read_text(encoding="utf-8"))):
        await import_missing_models(tx, catalog, actor=actor)
    organization = await _ensure_organization(tx, actor)
    owner = await organizations.get_member(tx, organization, _OWNER)
    password = random_alphanumeric(_PASSWORD_LENGTH)
    organizations.set_password(tx, owner, password, actor=actor)
    # Whoever tries the server out also runs it.
    organizations.set_operator(tx, owner, is_operator=True, actor=actor)
    await credits.grant(
        tx,
        organization_id=organization.id,
        amount=_CREDITS,
        reference=f"demo:{organization.id}",
        description="Demo",
        actor=actor,
    )
    request = KeyRequest(name=_KEY, scopes=ALL_SCOPES)
    new = await api_keys.replace_keys(tx, request, organization_id=organization.id, user_id=owner.id, actor=actor)
    is_chat_priced = await is_chat_model_priced(tx, chat_model)
    return Demo(new.secret, owner.email, password, is_chat_priced)


async def _ensure_organization(tx: Transaction, actor: Actor) -> Organization:
    try:
        return await organizations.get_organization(tx, _ORGANIZATION)
    except OrganizationNotFoundError:
        return await set_up_organization(tx, name=_ORGANIZATION, plan=_PLAN, owner_email=_OWNER, actor=actor)
