"""The operator's command line, `junis`."""

import signal
import sys

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
    # Loading the commands takes a second or two, in which a signal must not be lost.
    from app.cli.commands import run  # noqa: PLC0415 - the handlers come first

    run(sys.argv[1:])
