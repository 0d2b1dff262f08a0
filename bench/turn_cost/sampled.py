"""`junis serve` with a sampler of what its main thread runs, once for every few milliseconds of processor time.

SIGUSR1 begins to sample; SIGUSR2 ends it and writes the stacks to the file that `STACKS` names, one a line: functions
with `;` between them, from the outermost to the innermost, a space, and the samples.
"""

import dis
import os
import signal
import site
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

import greenlet  # type: ignore[import-untyped]
import typer

from app.cli.serve import serve

# The kernel's clock for it has about this resolution.
_SECONDS = 0.004
_RESUME = dis.opmap["RESUME"]
# Of the files of functions: the repository, the packages, and the standard library.
_ROOTS = [f"{path}/" for path in (*site.getsitepackages(), Path(__file__).parents[2], Path(os.__file__).parent)]


class Sampler:
    """Counts stacks. Its signal handlers run in the main thread, between two instructions of Python."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._counts: Counter[tuple[CodeType, ...]] = Counter()

    def begin(self, *_signal: object) -> None:
        """Forget what was counted, and begin."""
        self._counts.clear()
        signal.setitimer(signal.ITIMER_PROF, _SECONDS, _SECONDS)

    def take(self, _signal: int, frame: FrameType | None) -> None:
        """Count the stack of this moment."""
        if frame is not None and frame.f_code.co_code[frame.f_lasti] == _RESUME:
            # It has not run yet: the time belongs to what calls it, such as the event loop, which is written in C.
            frame = frame.f_back
        self._counts[tuple(reversed([*_codes(frame)]))] += 1

    def end(self, *_signal: object) -> None:
        """End, and write what was counted."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        lines = [f"{';'.join(map(_name, codes))} {count}\n" for codes, count in self._counts.items() if codes]
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_text("".join(lines))
        unfinished.rename(self._file)


def _codes(frame: FrameType | None) -> Iterator[CodeType]:
    """What is on the stack, from the innermost function: also what waits for a greenlet, as SQLAlchemy has them."""
    waiting = greenlet.getcurrent()
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back
        if frame is None and waiting.parent is not None:
            waiting = waiting.parent
            frame = waiting.gr_frame


def _name(code: CodeType) -> str:
    file = code.co_filename
    for root in _ROOTS:
        file = file.removeprefix(root)
    return f"{code.co_qualname} ({file})"


def main() -> None:
    """Serve."""
    sampler = Sampler(Path(os.environ["STACKS"]))
    signal.signal(signal.SIGPROF, sampler.take)
    signal.signal(signal.SIGUSR1, sampler.begin)
    signal.signal(signal.SIGUSR2, sampler.end)
    typer.run(serve)


if __name__ == "__main__":
    main()
