"""The `docker` command for one engine."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Only a command that hangs takes so long; a build from nothing takes minutes on a slow network.
_PATIENCE = 1200.0


@dataclass(frozen=True)
class Docker:
    """Runs `docker` with these variables in addition to PATH and HOME, and with no other."""

    environment: Mapping[str, str]

    def __call__(self, *arguments: str, folder: Path | None = None, settings: Mapping[str, str] | None = None) -> str:
        """Run one command to its end; returns what it printed, error output included.

        Raises:
            AssertionError: It failed; the message has its output.
        """
        done = self.attempt(*arguments, folder=folder, settings=settings)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: status {done.returncode}\n{done.stdout}"
        return done.stdout

    def attempt(
        self, *arguments: str, folder: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command that may fail; its error output is part of `stdout`."""
        return subprocess.run(
            ["docker", *arguments],
            cwd=folder,
            env={**self.surroundings(), **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )

    def surroundings(self) -> dict[str, str]:
        """The environment in which programs reach this engine, and which holds nothing else."""
        return {**{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}, **self.environment}

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """What the engine knows of an `image`, a `container` or a `network`."""
        (found,) = json.loads(self(kind, "inspect", name))
        assert isinstance(found, dict)
        return found

    def succeeds(self, *arguments: str) -> bool:
        """Whether a command can be started and ends with status 0."""
        try:
            return self.attempt(*arguments).returncode == 0
        except OSError:
            return False
