"""Signing in and out."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.accounts import service
from app.accounts.dependencies import PasswordsDep, WaitingAttemptsDep
from app.accounts.errors import SignInBusyError, SignInSlowedError
from app.accounts.sign_in import sign_in
from app.accounts.signed_in import Refused
from app.admin.access import FoundViewer
from app.admin.forms import Form, read_form
from app.admin.rendering import see_other
from app.admin.sign_in.cookies import delete_cookie, token_in
from app.admin.sign_in.doors import browser_of, enter, local_path, render_door
from app.dependencies import DatabaseDep, SettingsDep, TransactionDep

router = APIRouter()

_MOST_EMAIL: Final = 320


@router.get("/sign-in")
async def show_sign_in(request: Request, viewer: FoundViewer, settings: SettingsDep, next: str = "") -> Response:
    """The form. Whoever is signed in already is led on."""
    if viewer is not None:
        return see_other(request, local_path(next))
    return _page(request, settings, Form.of({"next": next}))


@router.post("/sign-in")
async def submit_sign_in(
    request: Request,
    database: DatabaseDep,
    settings: SettingsDep,
    passwords: PasswordsDep,
    waiting: WaitingAttemptsDep,
) -> Response:
    """Begin a session with a new token, and end the one that the browser had."""
    form = await read_form(request)
    email, password = form.text("email", most=_MOST_EMAIL, label="E-mail"), form.value("password")
    if not password:
        form.error("password", "Enter your password.")
    if form.errors:
        return _page(request, settings, form, status=422)
    browser = browser_of(request, settings)
    try:
        result = await sign_in(database, passwords, waiting, email=email, password=password, browser=browser)
    except (SignInBusyError, SignInSlowedError) as error:
        form.error("password", f"{error.text}. Try again in {error.retry_after} seconds.")
        return _page(request, settings, form, status=error.status, retry_after=error.retry_after)
    if isinstance(result, Refused):
        form.error("password", _refusal(result))
        return _page(request, settings, form, status=422)
    former = token_in(request, "junis_session")
    if former is not None:
        async with database.transaction() as tx:
            await service.sign_out(tx, former)
    return enter(request, settings, result, browser, local_path(form.value("next")))


@router.post("/sign-out")
async def sign_out(request: Request, tx: TransactionDep) -> Response:
    """End the session, so that copies of its cookie are dead too."""
    token = token_in(request, "junis_session")
    if token is not None:
        await service.sign_out(tx, token)
    response = see_other(request, "/sign-in", note="You are signed out.")
    delete_cookie(response, "junis_session")
    return response


def _page(
    request: Request, settings: SettingsDep, form: Form, *, status: int = 200, retry_after: int | None = None
) -> Response:
    response = render_door(request, settings, "sign_in/sign-in.html", title="Sign in", status=status, form=form)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _refusal(refused: Refused) -> str:
    sentence = "E-mail and password do not match."
    if refused.tries_left:
        tries = "1 try" if refused.tries_left == 1 else f"{refused.tries_left} tries"
        return f"{sentence} {tries} left before it slows down."
    return f"{sentence} The next try takes {refused.delay_seconds:.0f} s longer."
