import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from argon2 import PasswordHasher

from app.audit.actor import Actor
from app.audit.service import log_change
from app.core.database import Transaction
from app.core.errors import InvalidRequestError
from app.organizations import repository
from app.organizations.errors import (
    MemberNotFoundError,
    OrganizationExistsError,
    OrganizationNotFoundError,
    PlanIncompleteError,
    PlanNotFoundError,
)
from app.organizations.models import LARGEST_LIMIT, MembershipRole, Organization, Plan, SubscriptionStatus, User

_T = TypeVar("_T")

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def is_email(text: str) -> bool:
    """Whether a text can be an email address."""
    return _EMAIL.fullmatch(text) is not None


async def create_organization(tx: Transaction, *, name: str, plan: str, owner_email: str, actor: Actor) -> Organization:
    """Create an organization and, unless a user with that address exists already, its owner.

    Raises:
        PlanNotFoundError: there is no such plan.
        OrganizationExistsError: the name is taken.
        InvalidRequestError: the name is empty, or the address is not an email address.
    """
    if not name.strip():
        raise InvalidRequestError("The organization needs a name")
    await _require_plan(tx, plan)
    if await repository.find_organization(tx, name) is not None:
        raise OrganizationExistsError
    owner = await ensure_user(tx, owner_email, actor=actor)
    organization = await repository.add_organization(tx, name.strip(), plan)
    log_change(
        tx,
        actor,
        "organization_created",
        organization_id=organization.id,
        object_id=organization.id,
        after={"name": organization.name, "plan": plan, "owner": owner.email},
    )
    await add_member(tx, organization.id, owner.id, MembershipRole.OWNER, actor=actor)
    return organization


async def ensure_user(tx: Transaction, email: str, *, actor: Actor) -> User:
    """The user with that address, created if there is none.

    Raises:
        InvalidRequestError: it is not an email address.
    """
    if not is_email(email):
        raise InvalidRequestError(f"Not an email address: {email}")
    user = await repository.find_user_by_email(tx, email)
    if user is None:
        user = await repository.add_user(tx, email)
        log_change(tx, actor, "user_created", object_id=user.id, after={"name": user.email})
    return user


async def add_member(
    tx: Transaction,
    organization_id: str,
    user_id: str,
    role: MembershipRole,
    *,
    actor: Actor,
    event: str = "member_added",
) -> None:
    """Make the user a member of the organization. Somebody who is a member already keeps the role.

    `event` is what the audit log calls it.
    """
    if await repository.add_membership(tx, organization_id, user_id, role):
        user = await get_user(tx, user_id)
        after = {"name": user.email, "role": role.value}
        log_change(tx, actor, event, organization_id=organization_id, object_id=user_id, after=after)


def set_password(tx: Transaction, user: User, password: str, *, actor: Actor) -> None:
    """Give the user a password to sign in to the console with. Only its Argon2 hash is stored.

    Hashing takes a while: where others wait, it is done beforehand, and `set_password_hash` stores the result.
    """
    set_password_hash(tx, user, PasswordHasher().hash(password), actor=actor)


def set_password_hash(tx: Transaction, user: User, password_hash: str, *, actor: Actor) -> None:
    """Give the user the password that has this Argon2id hash."""
    user.password_hash = password_hash
    log_change(tx, actor, "password_set", object_id=user.id, after={"name": user.email})


async def list_manager_addresses(tx: Transaction, organization_id: str) -> Sequence[str]:
    """The addresses of the organization's owners and admins, who are told what concerns all of it."""
    return await repository.list_manager_addresses(tx, organization_id)


def set_operator(tx: Transaction, user: User, *, is_operator: bool, actor: Actor) -> None:
    """Say whether the user runs this server: sees all organizations, plans, the catalog and the system."""
    if user.is_operator == is_operator:
        return
    user.is_operator = is_operator
    event = "operator_made" if is_operator else "operator_unmade"
    log_change(tx, actor, event, object_id=user.id, after={"name": user.email})


async def find_user(tx: Transaction, email: str) -> User | None:
    """The user with that address, if there is one; upper and lower case are the same."""
    return await repository.find_user_by_email(tx, email)


async def get_user(tx: Transaction, user_id: str, *, is_locked: bool = False) -> User:
    """The user with that id. With `is_locked` nobody else can change the row until the transaction ends.

    Raises:
        MemberNotFoundError: there is none.
    """
    user = await repository.find_user(tx, user_id, is_locked=is_locked)
    if user is None:
        raise MemberNotFoundError(f"There is no user {user_id}")
    return user


async def find_organization(tx: Transaction, id_or_name: str) -> Organization | None:
    """The organization with that id or name, if there is one."""
    return await repository.find_organization(tx, id_or_name)


async def get_organization(tx: Transaction, id_or_name: str) -> Organization:
    """One organization. If the text is the id of one and the name of another, the id counts.

    Raises:
        OrganizationNotFoundError: no organization has that id or name.
    """
    organization = await repository.find_organization(tx, id_or_name)
    if organization is None:
        raise OrganizationNotFoundError(f"Organization not found: {id_or_name}")
    return organization


async def get_member(tx: Transaction, organization: Organization, email: str | None) -> User:
    """The member with that address, or the owner if no address is given.

    Raises:
        MemberNotFoundError: the organization has no such member.
    """
    if email is None:
        member, missing = await repository.find_owner(tx, organization.id), "owner"
    else:
        member, missing = await repository.find_member(tx, organization.id, email), f"member with the address {email}"
    if member is None:
        raise MemberNotFoundError(f"The organization {organization.name} has no {missing}")
    return member


async def list_organizations(tx: Transaction) -> Sequence[Organization]:
    """All organizations, by name."""
    return await repository.list_organizations(tx)


async def set_subscription(tx: Transaction, id_or_name: str, status: SubscriptionStatus, *, actor: Actor) -> None:
    """Start or end the subscription of an organization. Without one, its keys are refused.

    Raises:
        OrganizationNotFoundError: there is no such organization.
    """
    organization = await get_organization(tx, id_or_name)
    if organization.subscription_status == status:
        return
    before = {"name": organization.name, "subscription": organization.subscription_status}
    organization.subscription_status = status.value
    log_change(
        tx,
        actor,
        f"subscription_{status.value}",
        organization_id=organization.id,
        object_id=organization.id,
        before=before,
        after={**before, "subscription": status},
    )


async def change_plan(tx: Transaction, id_or_name: str, plan: str, *, actor: Actor) -> None:
    """Move the organization to another plan, whose limits apply at once.

    Raises:
        OrganizationNotFoundError: there is no such organization.
        PlanNotFoundError: there is no such plan.
    """
    organization = await get_organization(tx, id_or_name)
    await _require_plan(tx, plan)
    if organization.plan_name == plan:
        return
    before = {"name": organization.name, "plan": organization.plan_name}
    organization.plan_name = plan
    log_change(
        tx,
        actor,
        "plan_changed",
        organization_id=organization.id,
        object_id=plan,
        before=before,
        after={**before, "plan": plan},
    )


async def list_plans(tx: Transaction) -> Sequence[Plan]:
    """All plans, by name."""
    return await repository.list_plans(tx)


async def set_plan(
    tx: Transaction,
    *,
    name: str,
    requests_per_minute: int | None = None,
    concurrent_requests: int | None = None,
    concurrent_generations: int | None = None,
    monthly_credits: Decimal | None = None,
    actor: Actor,
) -> Plan:
    """Add a plan or change one.

    A value that is None stays as it is. A new plan needs all three limits; its monthly credits are 0 unless given.

    Raises:
        PlanIncompleteError: there is no such plan yet, and a limit is missing.
        InvalidRequestError: a limit is out of range, or the monthly credits are negative.
    """
    limits = {
        "requests_per_minute": requests_per_minute,
        "concurrent_requests": concurrent_requests,
        "concurrent_generations": concurrent_generations,
    }
    known = await repository.find_plan(tx, name)
    plan = known or _new_plan(name, limits)
    before = None if known is None else _as_logged(plan)
    if (
        any(limit is not None and not 1 <= limit <= LARGEST_LIMIT for limit in limits.values())
        or (monthly_credits or 0) < 0
    ):
        raise InvalidRequestError(f"A plan's limits are from 1 to {LARGEST_LIMIT} and its monthly credits at least 0")
    plan.requests_per_minute = _given_or(requests_per_minute, plan.requests_per_minute)
    plan.concurrent_requests = _given_or(concurrent_requests, plan.concurrent_requests)
    plan.concurrent_generations = _given_or(concurrent_generations, plan.concurrent_generations)
    plan.monthly_credits = _given_or(monthly_credits, plan.monthly_credits)
    if await repository.save_plan(tx, plan):
        log_change(tx, actor, "plan_set", object_id=name, before=before, after=_as_logged(plan))
    return plan


def _as_logged(plan: Plan) -> dict[str, object]:
    names = ("requests_per_minute", "concurrent_requests", "concurrent_generations", "monthly_credits")
    return {name: getattr(plan, name) for name in names}


def _new_plan(name: str, limits: Mapping[str, int | None]) -> Plan:
    missing = [limit for limit, value in limits.items() if value is None]
    if missing:
        raise PlanIncompleteError(name, missing)
    return Plan(name=name, monthly_credits=Decimal(0))


def _given_or(given: _T | None, kept: _T) -> _T:
    return kept if given is None else given


async def _require_plan(tx: Transaction, name: str) -> None:
    if await repository.find_plan(tx, name) is None:
        raise PlanNotFoundError(f"Plan not found: {name}")
