from app.admin.access import Viewer
from app.organizations.models import MembershipRole


def only_user_of(viewer: Viewer) -> str | None:
    """The user whose spending alone a reader sees: members their own; all others see the organization's."""
    return viewer.user_id if viewer.role is MembershipRole.MEMBER else None
