"""Usage and ledger: what is spent, on what, and every change of the balance."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.admin.access import Manager, SignedIn, Viewer
from app.admin.credits import alert_form, ledger_page, usage_export, usage_page
from app.admin.credits.export import csv_export, json_export
from app.admin.errors import PageNotFoundError
from app.admin.rendering import see_other
from app.dependencies import DatabaseDep, SettingsDep, TransactionDep

router = APIRouter()


async def require_organization(viewer: SignedIn) -> Viewer:
    """Somebody who looks at an organization.

    Raises:
        PageNotFoundError: an operator who is a member of none.
    """
    if not viewer.organization_id:
        raise PageNotFoundError
    return viewer


Reader = Annotated[Viewer, Depends(require_organization)]


@router.get("/usage")
async def show_usage(request: Request, viewer: Reader, tx: TransactionDep, settings: SettingsDep) -> Response:
    """What was spent each day, told apart by model, key, agent or user."""
    return await usage_page.show(request, viewer, tx, sends_mail=settings.sends_mail)


@router.get("/usage/export.csv")
async def export_usage(request: Request, viewer: Reader, tx: TransactionDep) -> Response:
    """The same as CSV."""
    return await usage_export.csv_export(request, viewer, tx)


@router.post("/usage/alerts")
async def add_alert(request: Request, viewer: Manager, tx: TransactionDep, settings: SettingsDep) -> Response:
    """Alert the organization when less than an amount is available."""
    form = await alert_form.add(request, viewer, tx)
    if form.errors:
        return await usage_page.show(request, viewer, tx, sends_mail=settings.sends_mail, form=form)
    return see_other(request, "/usage#alerts", note=f"Owners and admins are told below {form.value('threshold')}.")


@router.get("/usage/alerts/{threshold}/remove")
async def ask_to_remove_alert(
    request: Request, threshold: str, viewer: Manager, tx: TransactionDep, settings: SettingsDep
) -> Response:
    """What nobody is told any more without an alert."""
    return await alert_form.ask_to_remove(request, viewer, tx, threshold, sends_mail=settings.sends_mail)


@router.post("/usage/alerts/{threshold}/remove")
async def remove_alert(
    request: Request, threshold: str, viewer: Manager, tx: TransactionDep, settings: SettingsDep
) -> Response:
    """Alert the organization no more at one of its amounts, if that was typed."""
    form = await alert_form.remove(request, viewer, tx, threshold)
    if form.errors:
        return await alert_form.ask_to_remove(
            request, viewer, tx, threshold, sends_mail=settings.sends_mail, form=form, status=422
        )
    return see_other(request, "/usage#alerts", note="The alert is removed.")


@router.get("/ledger")
async def list_entries(request: Request, viewer: Reader, tx: TransactionDep) -> Response:
    """Every change of the balance, the newest first."""
    return await ledger_page.show(request, viewer, tx)


@router.get("/ledger/holds")
async def list_holds(request: Request, viewer: Reader, tx: TransactionDep) -> Response:
    """What is held for actions that have not ended."""
    return await ledger_page.show_holds(request, viewer, tx)


@router.get("/ledger/export.csv")
async def export_csv(request: Request, viewer: Reader, database: DatabaseDep) -> Response:
    """The filtered ledger as CSV."""
    return csv_export(request, viewer, database)


@router.get("/ledger/export.json")
async def export_json(request: Request, viewer: Reader, database: DatabaseDep) -> Response:
    """The filtered ledger as JSON."""
    return json_export(request, viewer, database)


@router.get("/ledger/{reference:path}")
async def show_entry(request: Request, reference: str, viewer: Reader, tx: TransactionDep) -> Response:
    """One entry beside the list: how its sum was computed, and its hold."""
    return await ledger_page.show(request, viewer, tx, reference=reference)
