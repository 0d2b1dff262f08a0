"""What a command has come to."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its status."""

    stdout: str = ""
    stderr: str = ""
    status: int = 0


def run(command: Sequence[str], environment: Mapping[str, str], stdin: str = "") -> Outcome:
    """Run a program to its end."""
    done = subprocess.run(command, env=dict(environment), input=stdin, capture_output=True, text=True, check=False)
    return Outcome(done.stdout, done.stderr, done.returncode)
