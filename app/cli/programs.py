"""The commands that replace this process by another program. It keeps the process id, and gets the signals."""

import importlib.util
import os
import sys

from app.cli.reporting import CommandFailedError
from app.core.early_stop import hold_signals_back
from app.core.settings import load_settings


def worker() -> None:
    """Process requested generations until asked to stop."""
    load_settings()
    # Until the program that begins now handles them.
    hold_signals_back()
    _become("worker")


def quickstart() -> None:
    """Run the whole product on this machine, with simulated vendors unless real ones are configured."""
    if importlib.util.find_spec("devstack") is None:
        raise CommandFailedError("The quickstart needs a checkout of the repository: run `make quickstart` in one")
    _become("devstack", "quickstart")


def _become(module: str, *arguments: str) -> None:
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell is wanted
