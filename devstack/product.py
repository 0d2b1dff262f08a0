"""The product's own programs: how each is called, and where it answers when it is ready."""

import os
from collections.abc import Mapping
from pathlib import Path

from devstack.programs import Program

ROOT = Path(__file__).parents[1]

# What a program needs of our own environment.
_INHERITED = ("PATH", "HOME", "LANG", "TZ")


def isolated(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that gets these settings and none of the person's who started us.

    Its working directory must be a folder without `.env`, because the programs read that too.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, **settings, "PYTHONPATH": str(ROOT)}


def api(
    env: Mapping[str, str], log: Path, *, origin: str, folder: Path | None = None, host: str | None = None
) -> Program:
    """The HTTP API.

    Args:
        env: Its whole environment.
        log: The file its output is appended to.
        origin: Where it is reached from this machine: `http://host:port`.
        folder: Its working directory; ours by default.
        host: The address it listens on, if that is not the host of the origin.
    """
    reached_at, port = origin.removeprefix("http://").rsplit(":", 1)
    listen = ("--host", host or reached_at, "--port", port)
    # No proxy has to notice that it stops.
    env = {"SHUTDOWN_DELAY_SECONDS": "0", **env}
    return Program(log.stem, ("-m", "app.cli", "serve", *listen), env, log, folder=folder, ready_url=f"{origin}/readyz")


def worker(env: Mapping[str, str], log: Path, *, folder: Path | None = None) -> Program:
    """A worker; for the arguments see `api`. It answers nobody, so it counts as ready once it is started."""
    return Program(log.stem, ("-m", "worker"), env, log, folder=folder)


def simulator(env: Mapping[str, str], log: Path, *options: str, origin: str, folder: Path | None = None) -> Program:
    """The vendors' simulator; `options` are further ones of `python -m simulator`, for the rest see `api`."""
    host, port = origin.removeprefix("http://").rsplit(":", 1)
    arguments = ("-m", "simulator", "--host", host, "--port", port, "--public-url", origin, *options)
    return Program(log.stem, arguments, env, log, folder=folder, ready_url=f"{origin}/_sim/health")


def migration(env: Mapping[str, str], log: Path, *, folder: Path | None = None) -> Program:
    """The command that brings the database to the newest schema, and ends; for the arguments see `api`."""
    return Program(log.stem, ("-m", "app.cli", "migrate"), env, log, folder=folder)
