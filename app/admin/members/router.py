"""The organization's members: who is in it, who is invited, and what they may do."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.accounts import invitations
from app.accounts.errors import UnusableLinkError
from app.accounts.exclusion import remove_member, suspend_member
from app.accounts.invitation_mail import send_invitation
from app.accounts.invitations import Invitation, NewInvitation
from app.admin.access import Manager, SignedIn, Viewer
from app.admin.errors import PageForbiddenError, PageNotFoundError
from app.admin.forms import Form, read_form
from app.admin.members import queries
from app.admin.members.views import MemberRow, member_row, roles_for
from app.admin.paging import page_of, read_position
from app.admin.rendering import ROOT, render, see_other
from app.admin.sign_in.cookies import is_encrypted
from app.core.database import Transaction
from app.dependencies import DatabaseDep, SettingsDep, TransactionDep
from app.mail.service import MailSender
from app.organizations import members
from app.organizations.errors import MemberRuleError
from app.organizations.models import MembershipRole

router = APIRouter()

# Shows the link that was just made, once: in no address and no log.
_LINK_COOKIE: Final = "junis_invitation"
_LINK_SECONDS: Final = 60
_ROWS: Final = 100
_LAST_OWNER: Final = "The last owner stays owner. Make somebody else an owner first."
_OWNERS_ONLY: Final = "Only an owner makes owners, or changes one."


@router.get("/members")
async def list_members(
    request: Request,
    viewer: SignedIn,
    tx: TransactionDep,
    settings: SettingsDep,
    cursor: str | None = None,
    edit: str | None = None,
) -> Response:
    """Everybody in the organization, and the open invitations."""
    response = await _page(request, viewer, tx, settings, cursor=cursor, edit=edit)
    if _LINK_COOKIE in request.cookies:
        response.delete_cookie(_LINK_COOKIE, path=f"{ROOT}/members")
    return response


@router.post("/members/invite")
async def invite(request: Request, viewer: Manager, database: DatabaseDep, settings: SettingsDep) -> Response:
    """Make an invitation, mail it if mail is set up, and show its link once."""
    form = await read_form(request)
    email = form.text("email", most=320, label="E-mail")
    role = form.one_of("role", [value for value, _, _ in roles_for(viewer)])
    async with database.transaction() as tx:
        if not form.errors:
            with form.refusing("email"):
                made = await invitations.invite(
                    tx, viewer.organization_id, email=email, role=MembershipRole(role), actor=viewer.actor
                )
        if form.errors:
            return await _page(request, viewer, tx, settings, form=form, status=422)
    return await _hand_over(request, viewer, settings, made)


@router.post("/members/invitations/{invitation_id}/renew")
async def renew_invitation(
    request: Request, invitation_id: str, viewer: Manager, database: DatabaseDep, settings: SettingsDep
) -> Response:
    """Make another link for an invitation, as for a new one. The one before works no longer."""
    try:
        async with database.transaction() as tx:
            made = await invitations.renew(tx, viewer.organization_id, invitation_id, actor=viewer.actor)
    except UnusableLinkError:
        raise PageNotFoundError from None
    except MemberRuleError as error:
        return see_other(request, "/members", note=error.text)
    return await _hand_over(request, viewer, settings, made)


@router.get("/members/invitations/{invitation_id}/withdraw")
async def ask_to_withdraw(request: Request, invitation_id: str, viewer: Manager, tx: TransactionDep) -> Response:
    """What withdrawing an invitation stops."""
    return _ask_to_withdraw(request, viewer, await _open_invitation(tx, viewer, invitation_id), Form())


@router.post("/members/invitations/{invitation_id}/withdraw")
async def withdraw_invitation(request: Request, invitation_id: str, viewer: Manager, tx: TransactionDep) -> Response:
    """Let an invitation's link work no longer, if the address that it is for was typed."""
    form = await read_form(request)
    invitation = await _open_invitation(tx, viewer, invitation_id)
    _require_address(form, invitation.email, "That is not the address. Nothing was withdrawn.")
    if form.errors:
        return _ask_to_withdraw(request, viewer, invitation, form, status=422)
    try:
        await invitations.withdraw(tx, viewer.organization_id, invitation.id, actor=viewer.actor)
    except UnusableLinkError:
        raise PageNotFoundError from None
    return see_other(request, "/members", note=f"The invitation of {invitation.email} is withdrawn.")


@router.post("/members/{user_id}/role")
async def change_role(
    request: Request, user_id: str, viewer: Manager, tx: TransactionDep, settings: SettingsDep
) -> Response:
    """Give a member another role."""
    form = await read_form(request)
    row = await _row(tx, viewer, user_id)
    role = form.one_of("role", list(MembershipRole))
    if not form.errors:
        with form.refusing("role"):
            await members.change_role(tx, viewer.organization_id, user_id, MembershipRole(role), actor=viewer.actor)
    if form.errors:
        return await _page(request, viewer, tx, settings, edit=user_id, edit_form=form, status=422)
    return see_other(request, "/members", note=f"{row.label} is {role} now.")


@router.get("/members/{user_id}/suspend")
async def ask_to_suspend(request: Request, user_id: str, viewer: Manager, tx: TransactionDep) -> Response:
    """What suspending a member stops."""
    return _ask(request, viewer, await _row(tx, viewer, user_id), "suspend", Form())


@router.post("/members/{user_id}/suspend")
async def suspend(request: Request, user_id: str, viewer: Manager, tx: TransactionDep) -> Response:
    """Keep a member from the organization: their sessions end, and their keys are refused at once."""
    form = await read_form(request)
    row = await _row(tx, viewer, user_id)
    with form.refusing():
        await suspend_member(tx, viewer.organization_id, user_id, actor=viewer.actor)
    if form.errors:
        return _ask(request, viewer, row, "suspend", form, status=422)
    return see_other(request, "/members", note=f"{row.label} is suspended, and signed out. Their keys are refused.")


@router.post("/members/{user_id}/reinstate")
async def reinstate(request: Request, user_id: str, viewer: Manager, tx: TransactionDep) -> Response:
    """Let a suspended member in again."""
    row = await _row(tx, viewer, user_id)
    try:
        await members.reinstate(tx, viewer.organization_id, user_id, actor=viewer.actor)
    except MemberRuleError as error:
        return see_other(request, "/members", note=error.text)
    return see_other(request, "/members", note=f"{row.label} may sign in again, and their keys work.")


@router.get("/members/{user_id}/remove")
async def ask_to_remove(request: Request, user_id: str, viewer: Manager, tx: TransactionDep) -> Response:
    """What removing a member stops."""
    return _ask(request, viewer, await _row(tx, viewer, user_id), "remove", Form())


@router.post("/members/{user_id}/remove")
async def remove(request: Request, user_id: str, viewer: Manager, tx: TransactionDep) -> Response:
    """Make a user no member any more, if their address was typed."""
    form = await read_form(request)
    row = await _row(tx, viewer, user_id)
    _require_address(form, row.email, "That is not the address. Nobody was removed.")
    if not form.errors:
        with form.refusing():
            await remove_member(tx, viewer.organization_id, user_id, actor=viewer.actor)
    if form.errors:
        return _ask(request, viewer, row, "remove", form, status=422)
    return see_other(request, "/members", note=f"{row.label} is no member any more.")


async def _row(tx: Transaction, viewer: Viewer, user_id: str) -> MemberRow:
    member = await queries.find_member(tx, viewer.organization_id, user_id)
    if member is None:
        raise PageNotFoundError
    has_one_owner = await queries.has_one_owner(tx, viewer.organization_id)
    return member_row(member, viewer, has_one_owner=has_one_owner)


async def _open_invitation(tx: Transaction, viewer: Viewer, invitation_id: str) -> Invitation:
    try:
        return await invitations.get_open(tx, viewer.organization_id, invitation_id)
    except UnusableLinkError:
        raise PageNotFoundError from None


def _require_address(form: Form, email: str, refusal: str) -> None:
    """Case is no difference in an address."""
    if form.value("confirm").strip().lower() != email.lower():
        form.error("confirm", refusal)


def _ask_to_withdraw(
    request: Request, viewer: Viewer, invitation: Invitation, form: Form, *, status: int = 200
) -> Response:
    return render(
        request,
        "members/withdraw.html",
        viewer,
        title=f"Withdraw the invitation of {invitation.email}?",
        here="members",
        status=status,
        invitation=invitation,
        form=form,
    )


def _ask(request: Request, viewer: Viewer, row: MemberRow, act: str, form: Form, *, status: int = 200) -> Response:
    if not row.may_change and not form.errors:
        raise PageForbiddenError(_LAST_OWNER if row.is_last_owner else _OWNERS_ONLY)
    title = f"{act.capitalize()} {row.label}?"
    return render(
        request, f"members/{act}.html", viewer, title=title, here="members", status=status, member=row, form=form
    )


async def _hand_over(request: Request, viewer: Viewer, settings: SettingsDep, made: NewInvitation) -> Response:
    """Mail an invitation that was stored, and show its link once: who invites can pass it on in any case."""
    response = see_other(request, "/members", note=await _mail(request, viewer, settings, made))
    response.set_cookie(
        _LINK_COOKIE,
        made.token,
        max_age=_LINK_SECONDS,
        path=f"{ROOT}/members",
        httponly=True,
        samesite="lax",
        secure=is_encrypted(request, settings),
    )
    return response


async def _mail(request: Request, viewer: Viewer, settings: SettingsDep, made: NewInvitation) -> str | None:
    """What the page says of the mail; None if mail is not set up."""
    sender: MailSender | None = request.app.state.mail_sender
    if sender is None:
        return None
    if not made.may_be_mailed:
        return f"No mail was sent: {made.email} or others have had several today. Pass the link on yourself."
    url = _url_of(settings, made.token)
    is_sent = await send_invitation(sender, made, url=url, organization=viewer.organization_name, by=viewer.email)
    return f"Mailed to {made.email}." if is_sent else "The mail could not be sent. Pass the link on yourself."


def _url_of(settings: SettingsDep, token: str) -> str:
    return f"{settings.public_url}{ROOT}/invitations/{token}"


async def _page(
    request: Request,
    viewer: Viewer,
    tx: Transaction,
    settings: SettingsDep,
    *,
    cursor: str | None = None,
    edit: str | None = None,
    form: Form | None = None,
    edit_form: Form | None = None,
    status: int = 200,
) -> Response:
    position = read_position(cursor, str)
    after = str(position[0]) if position else None
    found = await queries.list_members(tx, viewer.organization_id, after=after, limit=_ROWS + 1)
    has_one_owner = await queries.has_one_owner(tx, viewer.organization_id)
    rows = [member_row(member, viewer, has_one_owner=has_one_owner) for member in found]
    token = request.cookies.get(_LINK_COOKIE) if viewer.manages else None
    return render(
        request,
        "members/list.html",
        viewer,
        title="Members",
        here="members",
        status=status,
        page=page_of(rows, _ROWS, lambda row: [row.email.lower()], cursor=after and cursor),
        edit=edit if viewer.manages else None,
        edit_form=edit_form,
        form=form or Form.of({"role": MembershipRole.MEMBER}),
        roles=roles_for(viewer),
        invitations=await invitations.list_open(tx, viewer.organization_id) if viewer.manages else [],
        link=await _link(tx, viewer, settings, token) if token else None,
        sends_mail=settings.sends_mail,
    )


async def _link(tx: Transaction, viewer: Viewer, settings: SettingsDep, token: str) -> dict[str, object] | None:
    """The link that was just made, if it is one of this organization's."""
    try:
        invitation = await invitations.find_invitation(tx, token)
    except UnusableLinkError:
        return None
    if invitation.organization_id != viewer.organization_id:
        return None
    return {"invitation": invitation, "url": _url_of(settings, token)}
