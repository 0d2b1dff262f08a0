"""A Docker Engine: the one that answers already, or one of our own that is gone afterwards."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack.process import Process, spawn, stop
from tests.deployment.docker import Docker
from tests.deployment.errors import NoEngineError
from tests.deployment.mounted import remove
from tests.deployment.packages import install_programs, unpack_plugins

_STARTS_WITHIN = 60.0
# It stops its containers first.
_STOPS_WITHIN = 120.0
# Longer than an engine takes to write its file.
_ABANDONED_AFTER = 3600.0
_OF_THE_CALLER = ("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")


@contextmanager
def running_engine(cache: Path) -> Iterator[Docker]:
    """An engine with Compose for as long as the block takes.

    Args:
        cache: A folder that survives runs. An engine of our own keeps its data in it until it ends.

    Raises:
        NoEngineError: None answers, and none can be started.
    """
    given = Docker({name: os.environ[name] for name in _OF_THE_CALLER if name in os.environ})
    if given.succeeds("info"):
        yield _with_compose(given, cache)
        return
    if os.geteuid() != 0:
        raise NoEngineError("no Docker Engine answers, and only root can start one")
    install_programs()
    _remove_abandoned(cache)
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir=cache))
    docker = Docker({"DOCKER_HOST": f"unix://{folder}/docker.sock", "DOCKER_CONFIG": str(unpack_plugins(cache))})
    process = _start(folder, docker)
    try:
        _wait_until_it_answers(docker, process, folder / "log")
        yield docker
    finally:
        stop([(process, signal.SIGTERM)], grace=_STOPS_WITHIN)
        remove(folder)


def _with_compose(docker: Docker, cache: Path) -> Docker:
    if docker.succeeds("compose", "version"):
        return docker
    return Docker({**docker.environment, "DOCKER_CONFIG": str(unpack_plugins(cache))})


def _remove_abandoned(cache: Path) -> None:
    """Remove what engines of runs that were killed have left."""
    for folder in cache.glob("engine-*"):
        is_old = time.time() - folder.stat().st_mtime > _ABANDONED_AFTER
        # An engine removes its file when it ends.
        if is_old and not (folder / "pid").exists():
            remove(folder)


def _start(folder: Path, docker: Docker) -> Process:
    # Another driver, vfs, takes ten times the disk and the time.
    options = {
        "storage-driver": os.environ.get("STORAGE_DRIVER", "overlay2"),
        "data-root": folder / "data",
        "exec-root": folder / "exec",
        "pidfile": folder / "pid",
        "host": docker.environment["DOCKER_HOST"],
    }
    return spawn(
        ["dockerd", *(f"--{name}={value}" for name, value in options.items())],
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        log=folder / "log",
        death_signal=signal.SIGTERM,
    )


def _wait_until_it_answers(docker: Docker, process: Process, log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while not docker.succeeds("info"):
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").splitlines()
            raise NoEngineError("the Docker Engine does not start here:\n" + "\n".join(lines[-20:]))
        time.sleep(0.2)
