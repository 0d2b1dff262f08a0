from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated

import typer

from app.audit.actor import COMMAND_LINE
from app.cli.parameters import AsJson, parse_credits
from app.cli.printing import print_rows, tell
from app.cli.reporting import CommandFailedError
from app.cli.transaction import in_transaction
from app.organizations import service
from app.organizations.errors import PlanIncompleteError
from app.organizations.models import LARGEST_LIMIT

app = typer.Typer(
    help="Plans: the limits of organizations, and the credits that they are granted each month.", no_args_is_help=True
)

_COLUMNS = ("name", "requests_per_minute", "concurrent_requests", "concurrent_generations", "monthly_credits")

Limit = Annotated[int | None, typer.Option(min=1, max=LARGEST_LIMIT)]


@app.command("set")
def set_plan(
    name: Annotated[str, typer.Argument(help="The plan, existing or new.")],
    requests_per_minute: Limit = None,
    concurrent_requests: Limit = None,
    concurrent_generations: Limit = None,
    monthly_credits: Annotated[Decimal | None, typer.Option(parser=parse_credits, metavar="AMOUNT")] = None,
) -> None:
    """Add a plan or change one. Options that are left out keep their values."""
    with _missing_as_options():
        plan = in_transaction(
            service.set_plan,
            name=name,
            requests_per_minute=requests_per_minute,
            concurrent_requests=concurrent_requests,
            concurrent_generations=concurrent_generations,
            monthly_credits=monthly_credits,
            actor=COMMAND_LINE,
        )
    tell(f"The plan {plan.name} is set")


@app.command("list")
def list_plans(as_json: AsJson = False) -> None:
    """List all plans."""
    plans = in_transaction(service.list_plans)
    rows = [{column: getattr(plan, column) for column in _COLUMNS} for plan in plans]
    print_rows(_COLUMNS, rows, as_json=as_json)


@contextmanager
def _missing_as_options() -> Iterator[None]:
    """Name what a new plan lacks by the options that give it."""
    try:
        yield
    except PlanIncompleteError as error:
        options = [f"--{limit.replace('_', '-')}" for limit in error.missing]
        raise CommandFailedError(error.text_naming(options)) from error
