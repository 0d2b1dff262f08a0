"""Members who are kept from an organization: what ends with that."""

from app.accounts import repository
from app.accounts.invitations import withdraw_invitations_of
from app.api_keys import service as api_keys
from app.audit.actor import Actor
from app.core.database import Transaction
from app.organizations import members


async def suspend_member(tx: Transaction, organization_id: str, user_id: str, *, actor: Actor) -> None:
    """Suspend a member: the member's sessions at the console end, and all processes refuse the member's keys at once.

    Raises:
        MemberNotFoundError: the user is no member.
        MemberRuleError: whoever asks may not, or is the member.
        LastOwnerError: it would leave no owner.
    """
    await members.suspend(tx, organization_id, user_id, actor=actor)
    await _shut_out(tx, organization_id, user_id)


async def remove_member(tx: Transaction, organization_id: str, user_id: str, *, actor: Actor) -> None:
    """Remove a member: the member's sessions at the console end, and the member's keys are revoked for good.

    Raises:
        MemberNotFoundError: the user is no member.
        MemberRuleError: whoever asks may not.
        LastOwnerError: it would leave no owner.
    """
    await members.remove(tx, organization_id, user_id, actor=actor)
    # They would work again if the user were invited again.
    await api_keys.revoke_keys_of(tx, organization_id, user_id, actor=actor)
    await _shut_out(tx, organization_id, user_id)


async def _shut_out(tx: Transaction, organization_id: str, user_id: str) -> None:
    await repository.end_sessions_in(tx, user_id, organization_id)
    # Else the user could come back by a link made before.
    await withdraw_invitations_of(tx, organization_id, user_id)
