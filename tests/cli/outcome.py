import os
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """A command's exit status and output."""

    status: int
    stdout: str
    stderr: str


def run_process(*arguments: str, stdin: bytes = b"", **env: str) -> Outcome:
    """Run a command as an operator does: in its own process, with settings from the environment."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**os.environ, **env},
        input=stdin,
        capture_output=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
