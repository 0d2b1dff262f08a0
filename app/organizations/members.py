"""Who is what in an organization, and who may change that.

Owners and admins change members. Admins make no owners, and change none. An organization keeps an owner who is not
suspended, whatever runs at once: each change locks the organization first, and looks at its members after that.
"""

from dataclasses import dataclass

from app.audit.actor import Actor, ActorKind
from app.audit.service import log_change
from app.core.clock import moment_of
from app.core.database import Transaction
from app.organizations import repository
from app.organizations.errors import LastOwnerError, MemberNotFoundError, MemberRuleError, OrganizationNotFoundError
from app.organizations.models import Membership, MembershipRole, User
from app.organizations.service import get_user

_MANAGERS = frozenset({MembershipRole.OWNER, MembershipRole.ADMIN})
_OWNERS_ONLY = "Only an owner makes owners, or changes one."
_MANAGERS_ONLY = "Only owners and admins change members."


@dataclass(frozen=True)
class _Member:
    """A member who is to be changed."""

    membership: Membership
    user: User

    @property
    def role(self) -> MembershipRole:
        return MembershipRole(self.membership.role)

    def described(self, **properties: object) -> dict[str, object]:
        """What the audit log says of the member."""
        return {"name": self.user.email, **properties}


async def lock_members(tx: Transaction, organization_id: str) -> None:
    """Let nobody else change the organization's members until the transaction ends.

    Raises:
        OrganizationNotFoundError: there is no such organization.
    """
    if not await repository.lock_organization(tx, organization_id):
        raise OrganizationNotFoundError


async def require_manager(
    tx: Transaction, organization_id: str, actor: Actor, *, new_role: MembershipRole | None = None
) -> None:
    """Make sure that a user may change members, and make one of the new role. The command line may do everything.

    Raises:
        MemberRuleError: the user may not.
    """
    if actor.kind is not ActorKind.USER:
        return
    own = await repository.find_membership(tx, organization_id, actor.id or "")
    if own is None or own.suspended_at is not None or MembershipRole(own.role) not in _MANAGERS:
        raise MemberRuleError(_MANAGERS_ONLY)
    if new_role is MembershipRole.OWNER and own.role != MembershipRole.OWNER:
        raise MemberRuleError(_OWNERS_ONLY)


async def is_member(tx: Transaction, organization_id: str, user_id: str) -> bool:
    """Whether the user is a member of the organization, perhaps a suspended one."""
    return await repository.find_membership(tx, organization_id, user_id) is not None


async def change_role(
    tx: Transaction, organization_id: str, user_id: str, role: MembershipRole, *, actor: Actor
) -> None:
    """Give a member another role.

    Raises:
        MemberNotFoundError: the user is no member.
        MemberRuleError: whoever asks may not.
        LastOwnerError: it would leave no owner.
    """
    member = await _locked(tx, organization_id, user_id, actor)
    if member.role is role:
        return
    await require_manager(tx, organization_id, actor, new_role=role)
    if role is not MembershipRole.OWNER:
        await _require_another_owner(tx, member)
    before = member.described(role=member.role.value)
    member.membership.role = role.value
    await tx.session.flush()
    _log(tx, actor, "member_role_changed", member, before, member.described(role=role.value))


async def suspend(tx: Transaction, organization_id: str, user_id: str, *, actor: Actor) -> None:
    """Keep a member from the organization until reinstated. All processes refuse the member's keys at once.

    Raises:
        MemberNotFoundError: the user is no member.
        MemberRuleError: whoever asks may not, or is the member.
        LastOwnerError: it would leave no owner.
    """
    member = await _locked(tx, organization_id, user_id, actor)
    if actor.kind is ActorKind.USER and actor.id == user_id:
        raise MemberRuleError("You cannot suspend yourself.")
    await _require_another_owner(tx, member)
    if member.membership.suspended_at is not None:
        return
    member.membership.suspended_at = await moment_of(tx)
    await tx.session.flush()
    before, after = member.described(is_suspended=False), member.described(is_suspended=True)
    _log(tx, actor, "member_suspended", member, before, after)


async def reinstate(tx: Transaction, organization_id: str, user_id: str, *, actor: Actor) -> None:
    """Let a suspended member in again. The member's keys work again, too.

    Raises:
        MemberNotFoundError: the user is no member.
        MemberRuleError: whoever asks may not.
    """
    member = await _locked(tx, organization_id, user_id, actor)
    if member.membership.suspended_at is None:
        return
    member.membership.suspended_at = None
    await tx.session.flush()
    before, after = member.described(is_suspended=True), member.described(is_suspended=False)
    _log(tx, actor, "member_reinstated", member, before, after)


async def remove(tx: Transaction, organization_id: str, user_id: str, *, actor: Actor) -> None:
    """Make a user no member any more. All processes refuse the user's keys at once.

    Raises:
        MemberNotFoundError: the user is no member.
        MemberRuleError: whoever asks may not.
        LastOwnerError: it would leave no owner.
    """
    member = await _locked(tx, organization_id, user_id, actor)
    await _require_another_owner(tx, member)
    await repository.delete_membership(tx, member.membership)
    _log(tx, actor, "member_removed", member, member.described(role=member.role.value), None)


async def _locked(tx: Transaction, organization_id: str, user_id: str, actor: Actor) -> _Member:
    """The member as nobody else can change it now, if the actor may."""
    await lock_members(tx, organization_id)
    membership = await repository.find_membership(tx, organization_id, user_id)
    if membership is None:
        raise MemberNotFoundError
    # Whoever changes an owner must be one, as whoever makes one.
    await require_manager(tx, organization_id, actor, new_role=MembershipRole(membership.role))
    return _Member(membership, await get_user(tx, user_id))


async def _require_another_owner(tx: Transaction, member: _Member) -> None:
    if member.role is not MembershipRole.OWNER:
        return
    if not await repository.has_other_owner(tx, member.membership.organization_id, member.user.id):
        raise LastOwnerError


def _log(
    tx: Transaction,
    actor: Actor,
    event: str,
    member: _Member,
    before: dict[str, object] | None,
    after: dict[str, object] | None,
) -> None:
    log_change(
        tx,
        actor,
        event,
        object_id=member.user.id,
        organization_id=member.membership.organization_id,
        before=before,
        after=after,
    )
