"""Users of the console that an operator makes by a command."""

from app.accounts.one_time_links import NewLink, make_link
from app.audit.actor import Actor
from app.core.database import Transaction
from app.core.errors import InvalidRequestError
from app.organizations import service as organizations
from app.organizations.errors import MemberNotFoundError
from app.organizations.models import MembershipRole, User


async def make_console_user(
    tx: Transaction,
    *,
    email: str,
    organization: str | None,
    role: MembershipRole,
    is_operator: bool,
    actor: Actor,
) -> NewLink:
    """Let somebody use the console, and make the link by which the first password is set.

    Args:
        tx: the transaction.
        email: the address to sign in with. There may be a user already, who cannot sign in yet.
        organization: the id or name of the organization that the user is to be a member of, if any.
        role: what the user is to be in it. Somebody who is a member already keeps the role.
        is_operator: whether the user is to run this server.
        actor: who makes the user.

    Raises:
        InvalidRequestError: the address is none, its user has a password already, or the user could see nothing.
        OrganizationNotFoundError: there is no such organization.
    """
    if organization is None and not is_operator:
        raise InvalidRequestError("The user would see nothing: name an organization, or make an operator of them")
    user = await organizations.ensure_user(tx, email, actor=actor)
    if user.password_hash is not None:
        raise InvalidRequestError(f"{user.email} has a password already; for another one: junis admin reset {email}")
    if organization is not None:
        found = await organizations.get_organization(tx, organization)
        await organizations.add_member(tx, found.id, user.id, role, actor=actor)
    if is_operator:
        organizations.set_operator(tx, user, is_operator=True, actor=actor)
    return await make_link(tx, user, actor=actor)


async def reset_password(tx: Transaction, email: str, *, actor: Actor) -> NewLink:
    """Make the link by which a user sets another password. Until it is used, the present one works.

    Raises:
        MemberNotFoundError: there is no such user.
    """
    return await make_link(tx, await _get(tx, email), actor=actor)


async def set_operator(tx: Transaction, email: str, *, is_operator: bool, actor: Actor) -> None:
    """Say whether a user runs this server.

    Raises:
        MemberNotFoundError: there is no such user.
    """
    organizations.set_operator(tx, await _get(tx, email), is_operator=is_operator, actor=actor)


async def _get(tx: Transaction, email: str) -> User:
    user = await organizations.find_user(tx, email)
    if user is None:
        raise MemberNotFoundError(f"There is no user with the address {email}")
    return user
