from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert

from app.core.database import Transaction
from app.organizations.models import Membership, Organization, Plan, User


async def find_organization(tx: Transaction, id_or_name: str) -> Organization | None:
    """The organization of that id, or of that name."""
    query = select(Organization).where(or_(Organization.id == id_or_name, Organization.name == id_or_name))
    return (await tx.session.scalars(query)).first()


async def list_organizations(tx: Transaction) -> Sequence[Organization]:
    """All organizations, by name."""
    return (await tx.session.scalars(select(Organization).order_by(Organization.name))).all()


async def find_plan(tx: Transaction, name: str) -> Plan | None:
    """The plan of that name."""
    return await tx.session.get(Plan, name)


async def list_plans(tx: Transaction) -> Sequence[Plan]:
    """All plans, by name."""
    return (await tx.session.scalars(select(Plan).order_by(Plan.name))).all()


async def save_plan(tx: Transaction, plan: Plan) -> None:
    """Add the plan, or replace the values of the one with its name."""
    await tx.session.merge(plan)


async def find_user_by_email(tx: Transaction, email: str) -> User | None:
    """The user of that address, whatever its case."""
    return (await tx.session.scalars(select(User).where(func.lower(User.email) == email.lower()))).first()


async def find_owner(tx: Transaction, organization_id: str) -> User | None:
    """The organization's first owner."""
    query = (
        select(User)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.organization_id == organization_id, Membership.role == "owner")
        .order_by(Membership.created_at)
    )
    return (await tx.session.scalars(query)).first()


async def find_member(tx: Transaction, organization_id: str, email: str) -> User | None:
    """The user of that address, if a member of the organization."""
    query = (
        select(User)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.organization_id == organization_id, func.lower(User.email) == email.lower())
    )
    return (await tx.session.scalars(query)).first()


async def add_membership(tx: Transaction, organization_id: str, user_id: str, role: str) -> None:
    """Make the user a member; a member already keeps the role."""
    statement = insert(Membership).values(organization_id=organization_id, user_id=user_id, role=role)
    await tx.session.execute(statement.on_conflict_do_nothing())
