"""The commands of `junis`, and how one of them is run."""

import logging
from collections.abc import Iterable, Sequence
from importlib import import_module

import typer

from app.cli.logged import is_logged, logged_crash, reported_once
from app.cli.reporting import log_failure, print_failure, reported_errors
from app.core.logging import configure_logging

_HELP = "Run and administer a Junis server. Settings come from the environment and from .env."
# Where each command, or each group of them, stands. Only the one that is run is loaded: all of them take a second.
_PLACES = {
    "serve": "app.cli.serve:serve",
    "worker": "app.cli.programs:worker",
    "quickstart": "app.cli.programs:quickstart",
    "migrate": "app.cli.migrate:migrate",
    "doctor": "app.cli.doctor.command:doctor",
    "demo": "app.cli.demo:demo",
    "demo-model": "app.cli.model_of_demo:demo_model",
    "verify-ledger": "app.cli.ledger:verify_ledger",
    "count-lists": "app.cli.list_counts:count_lists",
    "prune": "app.cli.prune:prune",
    "reseal": "app.cli.reseal:reseal",
    "admin": "app.cli.admin:app",
    "orgs": "app.cli.organizations:app",
    "plans": "app.cli.plans:app",
    "catalog": "app.cli.catalog:app",
    "agents": "app.cli.agents:app",
    "keys": "app.cli.keys:app",
    "credits": "app.cli.credits:app",
    "webhooks": "app.cli.webhooks:app",
    "objects": "app.cli.objects:app",
    "reconcile": "app.cli.reconcile:app",
}


def junis(names: Iterable[str] = tuple(_PLACES)) -> typer.Typer:
    """`junis` with these commands and groups of commands."""
    made = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    # With a callback, a command keeps its name although it is the only one.
    made.callback(help=_HELP)(_nothing_before)
    for name in names:
        module, _, attribute = _PLACES[name].partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            made.add_typer(found, name=name)
        else:
            made.command(name)(found)
    return made


def _nothing_before() -> None:
    """No option stands before the name of a command."""


def run(arguments: Sequence[str]) -> None:
    """Run one command and exit.

    Raises:
        SystemExit: always; 0 if the command succeeded, 1 if it was refused, 2 if it could not be understood.
    """
    if is_logged(arguments):
        configure_logging("INFO")
        with logged_crash(), reported_errors(log_failure), reported_once(arguments):
            _wanted(arguments)(list(arguments), prog_name="junis")
    # Commands print what they do. What the services log below the level of an error would only repeat it.
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    logging.basicConfig(handlers=[handler])
    with reported_errors(print_failure), reported_once(arguments):
        _wanted(arguments)(list(arguments), prog_name="junis")


def _wanted(arguments: Sequence[str]) -> typer.Typer:
    """`junis` as far as these arguments need it."""
    is_named = bool(arguments) and arguments[0] in _PLACES
    return junis(arguments[:1]) if is_named else junis()
