from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

import typer

from app.cli.output import print_rows, tell
from app.cli.parameters import AsJson, parse_credits
from app.cli.reporting import CommandFailedError
from app.cli.transaction import in_transaction
from app.core.database import Transaction
from app.organizations import service
from app.organizations.models import Plan

app = typer.Typer(
    help="Plans: what an organization may do at once, and what it is granted each month.", no_args_is_help=True
)

_LIMITS = ("requests_per_minute", "concurrent_requests", "concurrent_generations")
_COLUMNS = ("name", *_LIMITS, "monthly_credits")
_LARGEST = 2**31 - 1  # of a Postgres integer

Limit = Annotated[int | None, typer.Option(min=1, max=_LARGEST)]


@app.command("set")
def set_plan(
    name: Annotated[str, typer.Argument(help="The plan, existing or new.")],
    requests_per_minute: Limit = None,
    concurrent_requests: Limit = None,
    concurrent_generations: Limit = None,
    monthly_credits: Annotated[Decimal | None, typer.Option(parser=parse_credits, metavar="AMOUNT")] = None,
) -> None:
    """Add a plan, or change one: options that are left out keep their values."""
    limits = dict(zip(_LIMITS, (requests_per_minute, concurrent_requests, concurrent_generations), strict=True))
    given = {limit: value for limit, value in limits.items() if value is not None}
    plan = in_transaction(_set_plan, name, given, monthly_credits)
    tell(f"The plan {plan.name} is set")


@app.command("list")
def list_plans(as_json: AsJson = False) -> None:
    """List all plans."""
    plans = in_transaction(service.list_plans)
    rows = [{column: getattr(plan, column) for column in _COLUMNS} for plan in plans]
    print_rows(_COLUMNS, rows, as_json=as_json)


async def _set_plan(tx: Transaction, name: str, given: Mapping[str, int], monthly_credits: Decimal | None) -> Plan:
    current = next((plan for plan in await service.list_plans(tx) if plan.name == name), None)
    kept = {limit: getattr(current, limit) for limit in _LIMITS} if current else {}
    limits = {**kept, **given}
    missing = [f"--{limit.replace('_', '-')}" for limit in _LIMITS if limit not in limits]
    if missing:
        raise CommandFailedError(f"There is no plan {name} yet; to add it, give {' and '.join(missing)} too")
    if monthly_credits is None:
        monthly_credits = current.monthly_credits if current else Decimal(0)
    return await service.set_plan(tx, name=name, monthly_credits=monthly_credits, **limits)
