"""The command line: `python -m devstack quickstart`."""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from devstack.config import read_config
from devstack.errors import StackError
from devstack.interrupts import Interrupts, Stopped
from devstack.process import die_with_parent
from devstack.quickstart import quickstart

_INIT_PID = 1


def main() -> int:
    """Run the command.

    Returns:
        The exit status: 0 after a request to stop, 1 if something could not be started.
    """
    arguments = _parse_arguments()
    # What we and our programs write is for this account only.
    os.umask(0o077)
    with Interrupts() as interrupts:
        if arguments.die_with_parent and not _is_bound_to_parent():
            return 0
        try:
            quickstart(read_config(os.environ, Path(".env")), interrupts, _progress())
        except Stopped:
            return 0
        except (StackError, OSError) as error:
            sys.stderr.write(f"\n{error}\n")
    return 1


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack", description="The whole product on one machine.")
    commands = parser.add_subparsers(required=True)
    quickstart_command = commands.add_parser(
        "quickstart",
        help="start everything, print how to use it, run until Ctrl-C",
        description="Settings by environment or .env: PORT (8000), HOST (127.0.0.1), DATA_DIR (.data), "
        "and for real vendors REPLICATE_API_TOKEN; LLM_BASE_URL, LLM_API_KEY and LLM_MODEL.",
    )
    quickstart_command.add_argument(
        "--die-with-parent", action="store_true", help="stop everything when the parent process ends, even by a kill"
    )
    return parser.parse_args()


def _is_bound_to_parent() -> bool:
    die_with_parent(signal.SIGTERM)
    # If the parent died before that, init is our parent now. In a container, init may be the parent itself.
    return os.getppid() != _INIT_PID or os.getpgid(_INIT_PID) == os.getpgrp()


def _progress() -> Callable[[str], None]:
    started_at = time.monotonic()

    def say(text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone, and the stopping must continue
            sys.stdout.write(f"{time.monotonic() - started_at:6.1f} s  {text}\n")
            sys.stdout.flush()

    return say


if __name__ == "__main__":
    sys.exit(main())
