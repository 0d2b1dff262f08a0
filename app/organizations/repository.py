from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert

from app.core.database import Transaction
from app.organizations.models import Membership, MembershipRole, Organization, Plan, User


async def find_organization(tx: Transaction, id_or_name: str) -> Organization | None:
    """The organization with that id or, if there is none, the one with that name."""
    query = (
        select(Organization)
        .where(or_(Organization.id == id_or_name, Organization.name == id_or_name))
        .order_by((Organization.id == id_or_name).desc())
    )
    return (await tx.session.scalars(query)).first()


async def add_organization(tx: Transaction, name: str, plan_name: str) -> Organization:
    """Add an organization with an active subscription."""
    organization = Organization(name=name, plan_name=plan_name)
    tx.session.add(organization)
    await tx.session.flush()
    return organization


async def list_organizations(tx: Transaction) -> Sequence[Organization]:
    """All organizations, by name."""
    return (await tx.session.scalars(select(Organization).order_by(Organization.name))).all()


async def find_plan(tx: Transaction, name: str) -> Plan | None:
    """The plan of that name."""
    return await tx.session.get(Plan, name)


async def list_plans(tx: Transaction) -> Sequence[Plan]:
    """All plans, by name."""
    return (await tx.session.scalars(select(Plan).order_by(Plan.name))).all()


async def save_plan(tx: Transaction, plan: Plan) -> bool:
    """Write a plan that is new or was changed. False if it is neither."""
    is_changed = plan not in tx.session or tx.session.is_modified(plan)
    tx.session.add(plan)
    await tx.session.flush()
    return is_changed


async def add_user(tx: Transaction, email: str) -> User:
    """Add a user without a password."""
    user = User(email=email)
    tx.session.add(user)
    await tx.session.flush()
    return user


async def find_user_by_email(tx: Transaction, email: str) -> User | None:
    """The user with that address; upper and lower case are the same."""
    return (await tx.session.scalars(select(User).where(func.lower(User.email) == email.lower()))).first()


async def find_user(tx: Transaction, user_id: str, *, is_locked: bool) -> User | None:
    """The user with that id, as it is now; locked against others' changes if that is asked for."""
    query = select(User).where(User.id == user_id).execution_options(populate_existing=True)
    return (await tx.session.scalars(query.with_for_update(key_share=True) if is_locked else query)).first()


async def find_owner(tx: Transaction, organization_id: str) -> User | None:
    """The organization's first owner."""
    query = (
        select(User)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.organization_id == organization_id, Membership.role == MembershipRole.OWNER.value)
        .order_by(Membership.created_at)
    )
    return (await tx.session.scalars(query)).first()


async def list_manager_addresses(tx: Transaction, organization_id: str) -> Sequence[str]:
    """The addresses of the organization's owners and admins."""
    managers = (MembershipRole.OWNER.value, MembershipRole.ADMIN.value)
    query = (
        select(User.email)
        .join(Membership, Membership.user_id == User.id)
        .where(
            Membership.organization_id == organization_id,
            Membership.role.in_(managers),
            Membership.suspended_at.is_(None),
        )
        .order_by(User.email)
    )
    return (await tx.session.scalars(query)).all()


async def find_member(tx: Transaction, organization_id: str, email: str) -> User | None:
    """The user with that address, if the user is a member of the organization."""
    query = (
        select(User)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.organization_id == organization_id, func.lower(User.email) == email.lower())
    )
    return (await tx.session.scalars(query)).first()


async def add_membership(tx: Transaction, organization_id: str, user_id: str, role: MembershipRole) -> bool:
    """Make the user a member. False if the user is one already; the role then stays as it is."""
    statement = insert(Membership).values(organization_id=organization_id, user_id=user_id, role=role.value)
    added = await tx.session.scalar(statement.on_conflict_do_nothing().returning(Membership.user_id))
    return added is not None


async def lock_organization(tx: Transaction, organization_id: str) -> bool:
    """Let nobody else change the organization's members until the transaction ends. False if there is none."""
    query = select(Organization.id).where(Organization.id == organization_id).with_for_update(key_share=True)
    return (await tx.session.scalar(query)) is not None


async def find_membership(tx: Transaction, organization_id: str, user_id: str) -> Membership | None:
    """The user's membership in the organization, as it is now."""
    query = (
        select(Membership)
        .where(Membership.organization_id == organization_id, Membership.user_id == user_id)
        .execution_options(populate_existing=True)
    )
    return (await tx.session.scalars(query)).first()


async def has_other_owner(tx: Transaction, organization_id: str, user_id: str) -> bool:
    """Whether the organization has an owner beside that user, who is not suspended."""
    query = (
        select(Membership.user_id)
        .where(
            Membership.organization_id == organization_id,
            Membership.user_id != user_id,
            Membership.role == MembershipRole.OWNER.value,
            Membership.suspended_at.is_(None),
        )
        .limit(1)
    )
    return (await tx.session.scalar(query)) is not None


async def delete_membership(tx: Transaction, membership: Membership) -> None:
    """Make the user no member any more."""
    await tx.session.delete(membership)
    await tx.session.flush()
