"""The commands of `junis`, and how one of them is run."""

import logging
from collections.abc import Sequence

import typer

from app.cli import admin, agents, catalog, credits, keys, objects, organizations, plans, reconcile
from app.cli.demo import demo
from app.cli.doctor.command import doctor
from app.cli.ledger import verify_ledger
from app.cli.list_counts import count_lists
from app.cli.logged import is_logged, logged_crash, reported_once
from app.cli.migrate import migrate
from app.cli.model_of_demo import demo_model
from app.cli.programs import quickstart, worker
from app.cli.prune import prune
from app.cli.reporting import log_failure, print_failure, reported_errors
from app.cli.reseal import reseal
from app.cli.serve import serve
from app.core.logging import configure_logging

app = typer.Typer(
    help="Run and administer a Junis server. Settings come from the environment and from .env.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    serve,
    worker,
    quickstart,
    migrate,
    doctor,
    demo,
    demo_model,
    verify_ledger,
    count_lists,
    prune,
    reseal,
):
    app.command()(command)
app.add_typer(admin.app, name="admin")
app.add_typer(organizations.app, name="orgs")
app.add_typer(plans.app, name="plans")
app.add_typer(catalog.app, name="catalog")
app.add_typer(agents.app, name="agents")
app.add_typer(keys.app, name="keys")
app.add_typer(credits.app, name="credits")
app.add_typer(objects.app, name="objects")
app.add_typer(reconcile.app, name="reconcile")


def run(arguments: Sequence[str]) -> None:
    """Run one command and exit.

    Raises:
        SystemExit: always; 0 if the command succeeded, 1 if it was refused, 2 if it could not be understood.
    """
    if is_logged(arguments):
        configure_logging("INFO")
        with logged_crash(), reported_errors(log_failure), reported_once(arguments):
            app(list(arguments), prog_name="junis")
    # Commands print what they do. What the services log below the level of an error would only repeat it.
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    logging.basicConfig(handlers=[handler])
    with reported_errors(print_failure), reported_once(arguments):
        app(list(arguments), prog_name="junis")
