import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from argon2 import PasswordHasher

from app.core.database import Transaction
from app.core.errors import InvalidRequestError
from app.organizations import repository
from app.organizations.errors import OrganizationExistsError, OrganizationNotFoundError, PlanNotFoundError
from app.organizations.models import Organization, Plan, User

SubscriptionStatus = Literal["active", "inactive"]

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


async def create_organization(tx: Transaction, *, name: str, plan: str, owner_email: str) -> Organization:
    """Make an organization and its owner, who may exist already.

    Raises:
        PlanNotFoundError: there is no such plan.
        OrganizationExistsError: the name is taken.
        InvalidRequestError: the name is empty or the address is none.
    """
    if not name.strip():
        raise InvalidRequestError("The organization needs a name")
    await _require_plan(tx, plan)
    if await repository.find_organization(tx, name) is not None:
        raise OrganizationExistsError
    owner = await ensure_user(tx, owner_email)
    organization = Organization(name=name.strip(), plan_name=plan)
    tx.session.add(organization)
    await tx.session.flush()
    await repository.add_membership(tx, organization.id, owner.id, "owner")
    return organization


async def ensure_user(tx: Transaction, email: str) -> User:
    """The user of that address, made where there is none.

    Raises:
        InvalidRequestError: it is no address.
    """
    if not _EMAIL.fullmatch(email):
        raise InvalidRequestError(f"Not an email address: {email}")
    user = await repository.find_user_by_email(tx, email)
    if user is None:
        user = User(email=email)
        tx.session.add(user)
        await tx.session.flush()
    return user


def set_password(user: User, password: str) -> None:
    """Give the user a password; only its Argon2 hash is kept."""
    user.password_hash = PasswordHasher().hash(password)


async def get_organization(tx: Transaction, id_or_name: str) -> Organization:
    """One organization.

    Raises:
        OrganizationNotFoundError: there is none of that id or name.
    """
    organization = await repository.find_organization(tx, id_or_name)
    if organization is None:
        raise OrganizationNotFoundError(f"Organization not found: {id_or_name}")
    return organization


async def get_member(tx: Transaction, organization: Organization, email: str | None) -> User:
    """The member of that address, or the owner where no address is given.

    Raises:
        OrganizationNotFoundError: the organization has no such member.
    """
    if email is None:
        member = await repository.find_owner(tx, organization.id)
    else:
        member = await repository.find_member(tx, organization.id, email)
    if member is None:
        raise OrganizationNotFoundError(f"{organization.name} has no member {email or 'that owns it'}")
    return member


async def list_organizations(tx: Transaction) -> Sequence[Organization]:
    """All organizations, by name."""
    return await repository.list_organizations(tx)


def set_subscription(organization: Organization, status: SubscriptionStatus) -> None:
    """Say whether the organization has a subscription: without one, its keys are refused."""
    organization.subscription_status = status


async def change_plan(tx: Transaction, organization: Organization, plan: str) -> None:
    """Put the organization on another plan, whose limits hold at once.

    Raises:
        PlanNotFoundError: there is no such plan.
    """
    await _require_plan(tx, plan)
    organization.plan_name = plan


async def list_plans(tx: Transaction) -> Sequence[Plan]:
    """All plans, by name."""
    return await repository.list_plans(tx)


async def set_plan(
    tx: Transaction,
    *,
    name: str,
    requests_per_minute: int,
    concurrent_requests: int,
    concurrent_generations: int,
    monthly_credits: Decimal,
) -> Plan:
    """Add a plan or change it.

    Raises:
        InvalidRequestError: a limit is not positive, or the grant is negative.
    """
    if min(requests_per_minute, concurrent_requests, concurrent_generations) < 1 or monthly_credits < 0:
        raise InvalidRequestError("A plan's limits are at least 1 and its monthly credits at least 0")
    plan = Plan(
        name=name,
        requests_per_minute=requests_per_minute,
        concurrent_requests=concurrent_requests,
        concurrent_generations=concurrent_generations,
        monthly_credits=monthly_credits,
    )
    await repository.save_plan(tx, plan)
    return plan


async def _require_plan(tx: Transaction, name: str) -> None:
    if await repository.find_plan(tx, name) is None:
        raise PlanNotFoundError(f"Plan not found: {name}")
