"""The page behind an invitation's link."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.accounts import invitations, service
from app.accounts.dependencies import PasswordsDep
from app.accounts.errors import InvitationOfAnotherError, UnusableLinkError
from app.accounts.invitations import Invitation
from app.admin.access import FoundViewer, Viewer
from app.admin.forms import Form, read_form
from app.admin.rendering import see_other
from app.admin.sign_in.doors import browser_of, enter, new_password_in, render_door, render_unusable
from app.core.database import Database
from app.dependencies import DatabaseDep, SettingsDep
from app.organizations.service import find_user

router = APIRouter()


@router.get("/invitations/{token}")
async def show_invitation(
    request: Request, token: str, viewer: FoundViewer, database: DatabaseDep, settings: SettingsDep
) -> Response:
    """Who invites whom, and the way in: a password for a new user, signing in for one who has an account."""
    try:
        return await _page(request, settings, database, token, viewer, Form())
    except UnusableLinkError:
        return render_unusable(request, settings, is_invitation=True)


@router.post("/invitations/{token}")
async def accept_invitation(
    request: Request,
    token: str,
    viewer: FoundViewer,
    database: DatabaseDep,
    settings: SettingsDep,
    passwords: PasswordsDep,
) -> Response:
    """Become a member: with the account that is signed in, or with a new one."""
    form = await read_form(request)
    try:
        if viewer is not None:
            return await _accept(request, database, token, viewer)
        name = form.text("name", most=64, is_optional=True, label="Name")
        password = new_password_in(form)
        if form.errors:
            return await _page(request, settings, database, token, viewer, form, status=422)
        browser = browser_of(request, settings)
        invitation, session = await invitations.accept_as_new(
            database, passwords, token=token, name=name or None, password=password, browser=browser
        )
    except UnusableLinkError:
        return render_unusable(request, settings, is_invitation=True)
    except InvitationOfAnotherError:
        # The page says what to do: sign in, or sign out.
        return see_other(request, f"/invitations/{token}")
    return enter(request, settings, session, browser, "/", note=_welcome(invitation))


async def _accept(request: Request, database: Database, token: str, viewer: Viewer) -> Response:
    async with database.transaction() as tx:
        invitation = await invitations.accept(tx, token=token, user_id=viewer.user_id)
        await service.choose_organization(tx, viewer.user_id, viewer.session_id, invitation.organization_id)
    return see_other(request, "/", note=_welcome(invitation))


async def _page(
    request: Request,
    settings: SettingsDep,
    database: Database,
    token: str,
    viewer: Viewer | None,
    form: Form,
    *,
    status: int = 200,
) -> Response:
    async with database.transaction() as tx:
        invitation = await invitations.find_invitation(tx, token)
        user = await find_user(tx, invitation.email)
    return render_door(
        request,
        settings,
        "invitations/invitation.html",
        title=f"Join {invitation.organization_name}",
        status=status,
        form=form,
        invitation=invitation,
        token=token,
        reader=viewer,
        is_known=user is not None,
        is_theirs=viewer is not None and viewer.email.lower() == invitation.email.lower(),
    )


def _welcome(invitation: Invitation) -> str:
    return f"You are {invitation.role} of {invitation.organization_name} now."
