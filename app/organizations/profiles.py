"""What users change of themselves."""

from app.audit.actor import Actor
from app.audit.service import log_change
from app.core.database import Transaction
from app.core.errors import InvalidRequestError
from app.organizations import service
from app.organizations.models import User


async def change_email(tx: Transaction, user: User, email: str, *, actor: Actor) -> None:
    """Give the user another address to sign in with.

    Raises:
        InvalidRequestError: it is not an email address, or another user's.
    """
    if not service.is_email(email):
        raise InvalidRequestError(f"Not an email address: {email}")
    former = user.email
    if email == former:
        return
    other = await service.find_user(tx, email)
    if other is not None and other.id != user.id:
        raise InvalidRequestError("Another user has this address")
    user.email = email
    await tx.session.flush()
    log_change(tx, actor, "email_changed", object_id=user.id, before={"name": former}, after={"name": email})


def change_name(tx: Transaction, user: User, name: str | None, *, actor: Actor) -> None:
    """Give the user a name that other members see beside the address; None for no name."""
    former = user.name
    if name == former:
        return
    user.name = name
    before, after = {"name": user.email, "called": former}, {"name": user.email, "called": name}
    log_change(tx, actor, "user_renamed", object_id=user.id, before=before, after=after)


def renew_password_hash(user: User, password_hash: str) -> None:
    """Store the same password under another hash, of stronger parameters. That changes nothing for anybody."""
    user.password_hash = password_hash
