"""Runs the tests of mutants in a copy of the checkout."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from mutants.mutant import Mutant

ROOT = Path(__file__).parents[1]
_LEFT_OUT = (".git", ".venv*", ".data", "__pycache__", ".*_cache", "dist")
# pytest and chaos end with 1 if something was found to be wrong; with another status if they could not be run.
_PASSED, _FOUND = 0, 1
_PYTEST = ("-q", "-n", "0", "-x", "-p", "no:cacheprovider")


class Outcome(StrEnum):
    """What the tests said of a mutant."""

    KILLED = "killed"
    SURVIVED = "SURVIVED"
    NOT_RUN = "NOT RUN"  # the tests fail without the mutant too, or cannot be run with it


Run = Callable[[str, Path], int]


@contextmanager
def copied(root: Path = ROOT) -> Iterator[Path]:
    """A copy of the checkout for as long as the block takes."""
    with TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        yield copy


def run_command(command: str, folder: Path) -> int:
    """Run a module in a folder with the code that is there; returns its exit status. Its output is dropped."""
    module, *arguments = command.split()
    options = _PYTEST if module == "pytest" else ()
    return subprocess.run(  # noqa: S603 - the commands are those of the list
        [sys.executable, "-m", module, *options, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    ).returncode


def try_mutants(
    mutants: Sequence[Mutant], folder: Path, tell: Callable[[Mutant, Outcome], None], run: Run = run_command
) -> list[Mutant]:
    """Apply each mutant alone and run its tests.

    Args:
        mutants: The mutants.
        folder: A copy of the checkout. It is left as it was.
        tell: Called with each outcome as it comes.
        run: Runs a command in the folder; returns its exit status.

    Returns:
        Those that were not killed.

    Raises:
        InvalidMutantError: A mutant cannot be applied.
    """
    passes: dict[str, bool] = {}
    alive = []
    for mutant in mutants:
        if mutant.killed_by not in passes:
            passes[mutant.killed_by] = run(mutant.killed_by, folder) == _PASSED
        outcome = _try(mutant, folder, run) if passes[mutant.killed_by] else Outcome.NOT_RUN
        tell(mutant, outcome)
        if outcome is not Outcome.KILLED:
            alive.append(mutant)
    return alive


def _try(mutant: Mutant, folder: Path, run: Run) -> Outcome:
    text = mutant.apply(folder)
    try:
        status = run(mutant.killed_by, folder)
    finally:
        mutant.take_back(folder, text)
    return {_PASSED: Outcome.SURVIVED, _FOUND: Outcome.KILLED}.get(status, Outcome.NOT_RUN)
