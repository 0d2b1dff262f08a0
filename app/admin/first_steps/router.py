"""One-time links, by which a user sets a password."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.accounts import one_time_links
from app.accounts.dependencies import PasswordsDep
from app.accounts.errors import UnusableLinkError
from app.admin.forms import Form, read_form
from app.admin.sign_in.doors import browser_of, enter, new_password_in, render_door, render_unusable
from app.dependencies import DatabaseDep, SettingsDep, TransactionDep

router = APIRouter()


@router.get("/first-steps/{token}")
async def show_first_steps(request: Request, token: str, tx: TransactionDep, settings: SettingsDep) -> Response:
    """The form for a new password."""
    try:
        user = await one_time_links.find_user_of_link(tx, token)
    except UnusableLinkError:
        return render_unusable(request, settings, is_invitation=False)
    return _page(request, settings, Form(), user.email)


@router.post("/first-steps/{token}")
async def submit_first_steps(
    request: Request, token: str, database: DatabaseDep, settings: SettingsDep, passwords: PasswordsDep
) -> Response:
    """Set the password and sign the user in. The link is used up with that."""
    form = await read_form(request)
    password = new_password_in(form)
    browser = browser_of(request, settings)
    try:
        async with database.transaction() as tx:
            user = await one_time_links.find_user_of_link(tx, token)
        if not form.errors:
            session = await one_time_links.use_link(
                database, passwords, token=token, password=password, browser=browser
            )
    except UnusableLinkError:
        return render_unusable(request, settings, is_invitation=False)
    if form.errors:
        return _page(request, settings, form, user.email, status=422)
    return enter(request, settings, session, browser, "/", note="Your password is set.")


def _page(request: Request, settings: SettingsDep, form: Form, email: str, *, status: int = 200) -> Response:
    return render_door(
        request,
        settings,
        "first_steps/first-steps.html",
        title="Set your password",
        status=status,
        form=form,
        email=email,
    )
