"""What the members' pages show: pure functions."""

from dataclasses import dataclass
from datetime import datetime

from app.admin.access import Viewer
from app.admin.members.queries import MemberRead
from app.organizations.models import MembershipRole

# What each role may do, in the order of the form.
ROLES = (
    (MembershipRole.VIEWER, "Viewer", "Sees everything but conversations, changes nothing"),
    (MembershipRole.MEMBER, "Member", "Uses agents, content and the playground"),
    (MembershipRole.ADMIN, "Admin", "Also manages keys, agents and members"),
    (MembershipRole.OWNER, "Owner", "Also makes owners, and changes them"),
)


@dataclass(frozen=True)
class MemberRow:
    """A member in the list.

    Attributes:
        user_id: who.
        email: the address.
        label: the name, or the address if there is none.
        role: what the member is.
        is_you: whether the reader is the member.
        is_suspended: whether the member is suspended.
        is_last_owner: whether nobody else is an owner, so that nothing can be changed.
        may_change: whether the reader may change the member.
        may_suspend: whether the reader may suspend the member.
        keys: how many keys of the member work.
        last_seen_at: when the member last used the console.
    """

    user_id: str
    email: str
    label: str
    role: MembershipRole
    is_you: bool
    is_suspended: bool
    is_last_owner: bool
    may_change: bool
    keys: int
    last_seen_at: datetime | None

    @property
    def may_suspend(self) -> bool:
        return self.may_change and not self.is_you


def member_row(member: MemberRead, viewer: Viewer, *, has_one_owner: bool) -> MemberRow:
    """The row of a member, as this reader sees it."""
    role = MembershipRole(member.role)
    is_suspended = member.suspended_at is not None
    is_last_owner = role is MembershipRole.OWNER and has_one_owner and not is_suspended
    may_change = viewer.manages and (role is not MembershipRole.OWNER or viewer.role is MembershipRole.OWNER)
    return MemberRow(
        user_id=member.user_id,
        email=member.email,
        label=member.name or member.email,
        role=role,
        is_you=member.user_id == viewer.user_id,
        is_suspended=is_suspended,
        is_last_owner=is_last_owner,
        may_change=may_change and not is_last_owner,
        keys=member.keys,
        last_seen_at=member.last_seen_at,
    )


def roles_for(viewer: Viewer) -> list[tuple[str, str, str]]:
    """The roles that the reader may give: value, word and what it may do."""
    is_owner = viewer.role is MembershipRole.OWNER
    return [(role.value, word, may) for role, word, may in ROLES if is_owner or role is not MembershipRole.OWNER]
