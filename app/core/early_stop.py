"""What a request to stop does to a program that is still being loaded, which takes a second or two."""

import os
import signal
import time
from types import FrameType
from typing import Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

# As a shell reports a program that SIGTERM has ended.
INTERRUPTED_STATUS: Final = 128 + signal.SIGTERM


def end_when_asked(status: int, *signals: signal.Signals) -> None:
    """Have these signals end this process at once, with this status and a line in the log.

    It holds until the program sets handlers of its own. Without handlers the first process of a container would not
    even notice SIGTERM: Linux drops it. This module imports nothing that takes long to load.
    """

    def end(number: int, frame: FrameType | None) -> None:
        # Written by hand: the logging of this process may not be loaded yet.
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        os.write(
            2,
            f'{{"time": "{now}+00:00", "level": "info", "logger": "app.core.early_stop",'
            f' "event": "stopped_while_starting", "signal": "{signal.Signals(number).name}"}}\n'.encode(),
        )
        # Not an exception: what is being imported might catch it.
        os._exit(status)

    for name in signals:
        signal.signal(name, end)
    # A program that replaced itself by this one has blocked them meanwhile, so that none is lost.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def hold_signals_back() -> None:
    """Block the signals to stop until `end_when_asked` is called, also in a program that replaces this one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
