"""The reader's own account: password, address, and where they are signed in."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.accounts import service
from app.accounts.dependencies import PasswordsDep, WaitingAttemptsDep
from app.accounts.errors import NoSignedInSessionError, WrongPasswordError
from app.accounts.passwords import check_new_password
from app.accounts.signed_in import ABSOLUTE_END, IDLE_END, TypedPassword
from app.admin.access import SignedInUser, Viewer
from app.admin.account.views import session_rows
from app.admin.errors import PageNotFoundError
from app.admin.filters import quantity
from app.admin.forms import Form, read_form
from app.admin.rendering import render, see_other
from app.admin.sign_in.doors import browser_of
from app.core.database import Database
from app.core.errors import InvalidRequestError
from app.dependencies import DatabaseDep, SettingsDep, TransactionDep
from app.organizations import profiles
from app.organizations import service as organizations
from app.organizations.errors import OrganizationNotFoundError

router = APIRouter()


@router.get("/account")
async def show_account(request: Request, viewer: SignedInUser, database: DatabaseDep) -> Response:
    """The account."""
    return await _page(request, viewer, database)


@router.post("/account/password")
async def change_password(
    request: Request,
    viewer: SignedInUser,
    database: DatabaseDep,
    settings: SettingsDep,
    passwords: PasswordsDep,
    waiting: WaitingAttemptsDep,
) -> Response:
    """Change the password, which signs out all other browsers."""
    form = await read_form(request)
    new = form.value("new")
    with form.refusing("new"):
        check_new_password(new)
    if "new" not in form.errors and form.value("again") != new:
        form.error("again", "This is not the same. Type the new password again.")
    ended = 0
    if not form.errors:
        try:
            ended = await service.change_password(
                database,
                passwords,
                waiting,
                _typed(request, settings, viewer, form.value("old")),
                session_id=viewer.session_id,
                new=new,
            )
        except WrongPasswordError as error:
            form.error("old", f"{error.text} Nothing was changed.")
    if form.errors:
        return await _page(request, viewer, database, password_form=form, status=422)
    others = f" {quantity(ended, 'other browser')} signed out." if ended else ""
    return see_other(request, "/account", note=f"Password changed.{others}")


@router.post("/account/email")
async def change_email(
    request: Request,
    viewer: SignedInUser,
    database: DatabaseDep,
    settings: SettingsDep,
    passwords: PasswordsDep,
    waiting: WaitingAttemptsDep,
) -> Response:
    """Change the address to sign in with."""
    form = await read_form(request)
    email = form.text("email", most=320, label="E-mail")
    if not form.errors:
        try:
            typed = _typed(request, settings, viewer, form.value("password"))
            await service.change_email(database, passwords, waiting, typed, email=email)
        except WrongPasswordError as error:
            form.error("password", f"{error.text} Nothing was changed.")
        except InvalidRequestError as error:
            form.error("email", f"{error.text}.")
    if form.errors:
        return await _page(request, viewer, database, email_form=form, status=422)
    return see_other(request, "/account", note=f"You sign in as {email} from now on.")


@router.post("/account/name")
async def change_name(request: Request, viewer: SignedInUser, database: DatabaseDep) -> Response:
    """Change the name that other members see."""
    form = await read_form(request)
    name = form.text("name", most=64, is_optional=True, label="The name")
    if form.errors:
        return await _page(request, viewer, database, name_form=form, status=422)
    async with database.transaction() as tx:
        user = await organizations.get_user(tx, viewer.user_id, is_locked=True)
        profiles.change_name(tx, user, name or None, actor=viewer.actor)
    return see_other(request, "/account", note="Your name is saved.")


@router.post("/account/sessions/end-others")
async def end_other_sessions(request: Request, viewer: SignedInUser, tx: TransactionDep) -> Response:
    """Sign out all other browsers."""
    ended = await service.end_all_sessions(tx, viewer.user_id, but=viewer.session_id, actor=viewer.actor)
    note = (
        f"{quantity(ended, 'other browser').capitalize()} signed out." if ended else "No other browser was signed in."
    )
    return see_other(request, "/account", note=note)


@router.post("/account/sessions/{session_id}/end")
async def end_one_session(request: Request, session_id: str, viewer: SignedInUser, tx: TransactionDep) -> Response:
    """Sign out one browser."""
    try:
        await service.end_session(tx, viewer.user_id, session_id)
    except NoSignedInSessionError:
        raise PageNotFoundError from None
    return see_other(request, "/account", note="That browser is signed out.")


@router.post("/switch")
async def switch_organization(request: Request, viewer: SignedInUser, tx: TransactionDep) -> Response:
    """Look at another one of the reader's organizations."""
    form = await read_form(request)
    try:
        await service.choose_organization(tx, viewer.user_id, viewer.session_id, form.value("organization"))
    except OrganizationNotFoundError:
        raise PageNotFoundError from None
    return see_other(request, "/")


def _typed(request: Request, settings: SettingsDep, viewer: Viewer, password: str) -> TypedPassword:
    return TypedPassword(viewer.user_id, viewer.email, password, browser_of(request, settings))


async def _page(
    request: Request,
    viewer: Viewer,
    database: Database,
    *,
    status: int = 200,
    password_form: Form | None = None,
    email_form: Form | None = None,
    name_form: Form | None = None,
) -> Response:
    async with database.transaction() as tx:
        sessions = await service.list_sessions(tx, viewer.user_id)
        attempts = await service.list_attempts(tx, viewer.email)
    return render(
        request,
        "account/account.html",
        viewer,
        title="Account",
        here="account",
        status=status,
        password_form=password_form or Form(),
        email_form=email_form or Form.of({"email": viewer.email}),
        name_form=name_form or Form.of({"name": viewer.name}),
        sessions=session_rows(sessions, viewer.session_id),
        attempts=attempts,
        idle_hours=IDLE_END.total_seconds() // 3600,
        absolute_days=ABSOLUTE_END.days,
    )
