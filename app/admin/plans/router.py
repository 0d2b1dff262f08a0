import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admin.access import Operator
from app.admin.errors import PageNotFoundError
from app.admin.forms import Form, read_form
from app.admin.plans import queries
from app.admin.rendering import render, see_other, segment
from app.core.database import Transaction
from app.dependencies import TransactionDep
from app.organizations import service
from app.organizations.models import LARGEST_LIMIT, Plan

router = APIRouter()

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_LIMITS: Final = ("requests_per_minute", "concurrent_requests", "concurrent_generations")


@router.get("/plans")
async def list_plans(request: Request, viewer: Operator, tx: TransactionDep) -> Response:
    """All plans with their limits."""
    return await _page(request, viewer, tx, None, Form())


@router.get("/plans/new")
async def new_plan(request: Request, viewer: Operator) -> Response:
    """The form of a new plan."""
    return _new_page(request, viewer, Form.of({"monthly_credits": "0"}))


@router.post("/plans/new")
async def add_plan(request: Request, viewer: Operator, tx: TransactionDep) -> Response:
    """Add a plan."""
    form = await read_form(request)
    name, values = form.text("name", most=40, label="Name"), _values(form)
    if name and not _NAME.fullmatch(name):
        form.error("name", "Use letters, digits, dots, hyphens and underscores.")
    if name == "new" or name in {plan.name for plan in await service.list_plans(tx)}:
        form.error("name", "There is a plan of this name already. Enter another one.")
    if form.errors:
        return _new_page(request, viewer, form, status=422)
    await service.set_plan(tx, name=name, **values, actor=viewer.actor)
    return see_other(request, f"/plans/{segment(name)}", note=f"Plan {name} is added.")


@router.get("/plans/{name}")
async def show_plan(request: Request, viewer: Operator, tx: TransactionDep, name: str) -> Response:
    """All plans, and the form of one."""
    plan = await _found(tx, name)
    limits = {field: getattr(plan, field) for field in _LIMITS}
    monthly = f"{plan.monthly_credits.normalize():f}"
    return await _page(request, viewer, tx, plan, Form.of({**limits, "monthly_credits": monthly}))


@router.post("/plans/{name}")
async def change_plan(request: Request, viewer: Operator, tx: TransactionDep, name: str) -> Response:
    """Change a plan. If keys would be cut down to it, they are shown first."""
    plan = await _found(tx, name)
    form = await read_form(request)
    values = _values(form)
    if not form.errors and values["requests_per_minute"] < plan.requests_per_minute and not form.has("cut", "yes"):
        cut = await queries.list_cut_down(tx, plan.name, values["requests_per_minute"])
        if cut:
            form.error("cut", _cut_words(len(cut)))
    if form.errors:
        return await _page(request, viewer, tx, plan, form, status=422)
    await service.set_plan(tx, name=plan.name, **values, actor=viewer.actor)
    return see_other(request, f"/plans/{segment(plan.name)}", note=f"Plan {plan.name} is saved.")


def _values(form: Form) -> Mapping[str, Any]:
    limits = {name: form.whole(name, least=1, most=LARGEST_LIMIT) for name in _LIMITS}
    return {**limits, "monthly_credits": form.decimal("monthly_credits", least=Decimal(0))}


async def _found(tx: Transaction, name: str) -> Plan:
    for plan in await service.list_plans(tx):
        if plan.name == name:
            return plan
    raise PageNotFoundError


def _cut_words(number: int) -> str:
    if number > queries.KEYS_SHOWN:
        return f"More than {queries.KEYS_SHOWN} keys have more. Tick the box if that is meant."
    return f"{number} {'key has' if number == 1 else 'keys have'} more. Tick the box if that is meant."


async def _page(
    request: Request, viewer: Operator, tx: TransactionDep, plan: Plan | None, form: Form, *, status: int = 200
) -> Response:
    organizations = await queries.list_organizations(tx, plan.name) if plan else ()
    limit = 0
    if plan is not None:
        # Of what was typed, if it can be read; otherwise as it is.
        limit = Form(dict(form.values)).whole("requests_per_minute", least=1, most=LARGEST_LIMIT) or (
            plan.requests_per_minute
        )
    cut = await queries.list_cut_down(tx, plan.name, limit) if plan else ()
    return render(
        request,
        "plans/list.html",
        viewer,
        title=plan.name if plan else "Plans",
        here="plans",
        status=status,
        plans=await service.list_plans(tx),
        counts=await queries.count_organizations(tx),
        open=plan,
        form=form,
        organizations=organizations,
        cut=cut[: queries.KEYS_SHOWN],
        cut_more=len(cut) > queries.KEYS_SHOWN,
        cut_limit=limit,
    )


def _new_page(request: Request, viewer: Operator, form: Form, *, status: int = 200) -> Response:
    return render(request, "plans/new.html", viewer, title="Add plan", here="plans", status=status, form=form)
