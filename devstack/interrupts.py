import os
import select
import signal
import time
from types import FrameType, TracebackType
from typing import Self

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DRAIN = 4096


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """We were asked to stop. Raised where we wait, never in the middle of a step."""


class Interrupts:
    """Turns signals into something to wait for: requests to stop, and the end of a child.

    Inside its `with` block, the first SIGINT, SIGTERM or SIGHUP makes every later wait raise Stopped; further ones
    change nothing, so that an impatient second Ctrl-C does not interrupt the stopping. The block ends once, with the
    process: from then on requests to stop are ignored.
    """

    def __init__(self) -> None:
        self._is_stopping = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def wait(self, seconds: float | None) -> None:
        """Wait until a signal arrives, at most `seconds`; None means without limit.

        Raises:
            Stopped: We were asked to stop.
        """
        self._raise_if_stopping()
        if select.select([self._reader], [], [], seconds)[0]:
            os.read(self._reader, _DRAIN)
        self._raise_if_stopping()

    def pause(self, seconds: float) -> None:
        """Wait for `seconds`, even if children end meanwhile.

        Raises:
            Stopped: We were asked to stop.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.wait(left)

    def __enter__(self) -> Self:
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)  # a handler, so that the wakeup descriptor is written
        for how in _STOPPING:
            # Under nohup SIGHUP is ignored, and that is what its user wants. SIGINT is ignored in the background of
            # every script, which says nothing about what the user wants.
            if how is not signal.SIGHUP or signal.getsignal(how) is not signal.SIG_IGN:
                signal.signal(how, self._ask_to_stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for how in _STOPPING:
            signal.signal(how, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True

    def _raise_if_stopping(self) -> None:
        if self._is_stopping:
            raise Stopped


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing."""
