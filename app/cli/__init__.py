"""The operator's command line, `junis`."""

import signal
import sys
from collections.abc import Sequence

from app.core.early_stop import INTERRUPTED_STATUS, STOP_SIGNALS, end_when_asked

# They run until they are asked to stop, so being stopped is no failure. Any other command has not done what it is for.
_LONG_RUNNING = frozenset({"serve", "worker"})


def main() -> None:
    """Run the command that the arguments of this process name, and exit.

    Raises:
        SystemExit: always; see `app.cli.commands.run`.
    """
    # The image's entry point is `junis` already: `docker compose run api junis doctor` says it twice.
    if sys.argv[1:2] == ["junis"]:
        del sys.argv[1]
    if _LONG_RUNNING.intersection(sys.argv[1:2]):
        end_when_asked(0, *STOP_SIGNALS)
    else:
        # What Ctrl-C does is left to the command.
        end_when_asked(INTERRUPTED_STATUS, signal.SIGTERM)
    _begin_log(sys.argv[1:])
    # Loading the commands takes a second or two, in which a signal must not be lost.
    from app.cli.commands import run  # noqa: PLC0415 - the handlers come first

    run(sys.argv[1:])


def _begin_log(arguments: Sequence[str]) -> None:
    """Have lines of JSON begin before the command is loaded: what is loaded may warn, or fail."""
    from app.cli.logged import is_logged  # noqa: PLC0415 - the handlers come first
    from app.core.logging import configure_logging  # noqa: PLC0415 - see above

    if is_logged(arguments):
        configure_logging("INFO")
