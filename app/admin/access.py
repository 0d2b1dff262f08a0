"""Who looks at a page, and whether they may."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Final

from fastapi import Depends, Request

from app.accounts.service import note_seen
from app.admin.errors import NotSignedInError, PageForbiddenError, PageNotFoundError
from app.admin.sign_in.cookies import csrf_of, token_in
from app.admin.sign_in.queries import SeenSession, find_session
from app.audit.actor import Actor, ActorKind
from app.core.crypto import sha256
from app.dependencies import DatabaseDep, SettingsDep
from app.organizations.models import MembershipRole
from app.rate_limits.address import client_address

_NO_ORGANIZATION: Final = "You are no longer in an organization. Ask somebody who manages one to invite you."
_MANAGERS_ONLY: Final = "This page is for owners and admins. You are {role} of {name}."
_USERS_ONLY: Final = "Viewers look at {name} and change nothing. Ask an owner or admin for another role."


@dataclass(frozen=True)
class ViewerMembership:
    """An organization that the reader can switch to."""

    organization_id: str
    name: str
    role: MembershipRole


@dataclass(frozen=True)
class Viewer:
    """Who looks at a page, and at which organization.

    Attributes:
        session_id: the row of the session.
        user_id: who is signed in.
        email: the user's address.
        name: the user's name, if it was given.
        is_operator: whether the user runs this server.
        csrf: the token that every form of this session carries.
        organization_id: the organization that the pages show. All that follow are empty for an operator who is a member
            of none.
        organization_name: its name.
        plan_name: its plan.
        role: what the user is in it.
        memberships: all of the user's organizations by name, for the switcher.
        available: the organization's balance without what is held, in credits.
        crossed: the lowest of the amounts that the organization wants to be alerted below, if less is available.
    """

    session_id: str
    user_id: str
    email: str
    name: str | None
    is_operator: bool
    csrf: str = field(repr=False)
    organization_id: str
    organization_name: str
    plan_name: str
    role: MembershipRole
    memberships: tuple[ViewerMembership, ...]
    available: Decimal
    crossed: Decimal | None = None

    @property
    def actor(self) -> Actor:
        """Who changes what this reader changes."""
        return Actor(ActorKind.USER, self.user_id)

    @property
    def manages(self) -> bool:
        """Whether the reader may change the organization: an owner or admin."""
        return self.role in {MembershipRole.OWNER, MembershipRole.ADMIN}

    @property
    def uses(self) -> bool:
        """Whether the reader may run agents: an owner, admin or member."""
        return bool(self.organization_id) and self.role is not MembershipRole.VIEWER


async def find_viewer(request: Request, database: DatabaseDep, settings: SettingsDep) -> Viewer | None:
    """Who looks, or None if nobody is signed in or the session has ended. Read once for a request.

    The transaction is one of its own, so that pages that wait or stream keep none.
    """
    if "junis.viewer" not in request.scope:
        request.scope["junis.viewer"] = await _read_viewer(request, database, settings)
    viewer: Viewer | None = request.scope["junis.viewer"]
    return viewer


async def _read_viewer(request: Request, database: DatabaseDep, settings: SettingsDep) -> Viewer | None:
    token = token_in(request, "junis_session")
    if token is None:
        return None
    async with database.transaction() as tx:
        seen = await find_session(tx, sha256(token))
        if seen is None:
            return None
        if seen.is_old:
            await note_seen(tx, seen.session_id, address_of(request, settings))
    return _viewer_of(seen, csrf_of(token))


def address_of(request: Request, settings: SettingsDep) -> str:
    """The address that a request comes from; of IPv6 it is the network."""
    peer = request.client.host if request.client else None
    return client_address(peer, request.headers.getlist("x-forwarded-for"), settings.trusted_proxies)


def _viewer_of(seen: SeenSession, csrf: str) -> Viewer:
    chosen = next(
        (each for each in seen.memberships if each.organization_id == seen.chosen_id),
        seen.memberships[0] if seen.memberships else None,
    )
    return Viewer(
        session_id=seen.session_id,
        user_id=seen.user_id,
        email=seen.email,
        name=seen.name,
        is_operator=seen.is_operator,
        csrf=csrf,
        organization_id=chosen.organization_id if chosen else "",
        organization_name=chosen.name if chosen else "",
        plan_name=chosen.plan_name if chosen else "",
        role=MembershipRole(chosen.role) if chosen else MembershipRole.VIEWER,
        memberships=tuple(
            ViewerMembership(each.organization_id, each.name, MembershipRole(each.role)) for each in seen.memberships
        ),
        available=chosen.available if chosen else Decimal(0),
        crossed=chosen.crossed if chosen else None,
    )


FoundViewer = Annotated[Viewer | None, Depends(find_viewer)]


async def require_user(viewer: FoundViewer) -> Viewer:
    """Somebody who is signed in, perhaps without an organization.

    Raises:
        NotSignedInError: nobody is.
    """
    if viewer is None:
        raise NotSignedInError
    return viewer


SignedInUser = Annotated[Viewer, Depends(require_user)]


async def require_viewer(viewer: SignedInUser) -> Viewer:
    """Somebody who looks at an organization, or an operator.

    Raises:
        NotSignedInError: nobody is signed in.
        PageForbiddenError: the user is in no organization, and no operator.
    """
    if not viewer.organization_id and not viewer.is_operator:
        raise PageForbiddenError(_NO_ORGANIZATION)
    return viewer


SignedIn = Annotated[Viewer, Depends(require_viewer)]


async def require_member(viewer: SignedIn) -> Viewer:
    """Somebody who may use the organization's agents.

    Raises:
        PageForbiddenError: the reader may only look.
    """
    if not viewer.uses:
        raise PageForbiddenError(_forbidden(_USERS_ONLY, viewer))
    return viewer


async def require_manager(viewer: SignedIn) -> Viewer:
    """An owner or admin of the organization.

    Raises:
        PageForbiddenError: the reader is another member.
    """
    if not viewer.manages:
        raise PageForbiddenError(_forbidden(_MANAGERS_ONLY, viewer))
    return viewer


async def require_operator(viewer: SignedInUser) -> Viewer:
    """Somebody who runs this server. Nobody else is told that the page exists.

    Raises:
        PageNotFoundError: the reader does not.
    """
    if not viewer.is_operator:
        raise PageNotFoundError
    return viewer


def _forbidden(sentence: str, viewer: Viewer) -> str:
    if not viewer.organization_id:
        return _NO_ORGANIZATION
    return sentence.format(role=viewer.role.value, name=viewer.organization_name)


MemberUser = Annotated[Viewer, Depends(require_member)]
Manager = Annotated[Viewer, Depends(require_manager)]
Operator = Annotated[Viewer, Depends(require_operator)]
