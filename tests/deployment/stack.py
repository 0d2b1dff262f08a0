"""The Compose stack of a checkout, in a folder of its own, as the README says to start it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from devstack.ports import free_port
from devstack.product import ROOT
from tests.deployment.docker import Docker
from tests.waiting import wait_until

PROJECT: Final = "junis-deployment"
TAG: Final = "deployment"
IMAGE: Final = f"junis-server:{TAG}"
OURS: Final = ("api", "worker", "migrate", "simulator")
STORES: Final = ("postgres", "redis", "objects")
SERVICES: Final = ("proxy", *OURS, *STORES)


@dataclass(frozen=True)
class Stack:
    """One Compose project."""

    docker: Docker
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """What `.env` says."""
        lines = (self.folder / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z0-9_]+=", line))

    def compose(self, *arguments: str, settings: Mapping[str, str] | None = None) -> str:
        """Run one command of `docker compose`; `settings` win over `.env`."""
        project = {"COMPOSE_PROJECT_NAME": PROJECT, **(settings or {})}
        return self.docker("compose", *arguments, folder=self.folder, settings=project)

    def shell(self, script: str) -> None:
        """Run commands of the documentation as they are written, up to the first that fails."""
        environment = {**self.docker.surroundings(), "COMPOSE_PROJECT_NAME": PROJECT}
        done = subprocess.run(
            ["sh", "-euc", script],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout

    def junis(self, *arguments: str) -> str:
        """Run one command of the operator's."""
        return self.compose("exec", "-T", "api", "junis", *arguments)

    def containers(self, service: str) -> list[str]:
        """The names of a service's containers, whatever state they are in."""
        return sorted(self.compose("ps", "-a", "--format", "{{.Name}}", service).split())

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's first container."""
        return self.docker.inspect("container", self.containers(service)[0])

    def log(self, service: str) -> list[str]:
        """The lines that a service's containers have logged."""
        return [line for name in self.containers(service) for line in self.docker("logs", name).splitlines()]

    @contextmanager
    def followed_log(self, *services: str) -> Iterator[Path]:
        """A file with what the services' containers log during the block, those too that are removed meanwhile."""
        command = ["docker", "compose", "logs", "--follow", "--no-log-prefix", "--since", "1s", *services]
        environment = {**self.docker.surroundings(), "COMPOSE_PROJECT_NAME": PROJECT}
        path = self.folder.with_name(f"{self.folder.name}-followed.log")
        with (
            path.open("w") as file,
            subprocess.Popen(command, cwd=self.folder, env=environment, stdout=file, stderr=file) as following,
        ):
            try:
                yield path
            finally:
                following.terminate()

    def exit_codes(self) -> dict[str, int]:
        """The status with which each container ended."""
        names = [name for service in SERVICES for name in self.containers(service)]
        return {name: self.docker.inspect("container", name)["State"]["ExitCode"] for name in names}

    def memory(self) -> dict[str, str]:
        """What each running container uses."""
        printed = self.docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}")
        used = [line.split(" / ")[0].split(maxsplit=1) for line in printed.splitlines()]
        return {name.removeprefix(f"{PROJECT}-"): size for name, size in used if name.startswith(PROJECT)}

    def image_of(self, container: str) -> str:
        """The id of the image that a container was made from."""
        return str(self.docker.inspect("container", container)["Image"])

    def kill(self, container: str) -> None:
        """End a container's first process by SIGKILL, as a crash would: the engine does not know that it was wanted."""
        process = self.docker.inspect("container", container)["State"]["Pid"]
        command = f"import os; os.kill({process}, 9)"
        program = ("--entrypoint", "python", IMAGE, "-c", command)
        self.docker("run", "--rm", "--pid", "host", "--user", "0", *program)

    def wait_until_whole(self) -> None:
        """Wait until the API reaches all stores, and a worker has reported."""
        wait_until(lambda: _is_whole(self.url))


def copy_of_the_checkout(folder: Path) -> None:
    """Copy what git knows, or would add, with the changes that are not committed."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def configure(docker: Docker, folder: Path) -> Stack:
    """Write `.env` for the stack in the folder, with simulated vendors and a free port."""
    stack = Stack(docker, folder, free_port())
    subprocess.run(["make", "-s", "env", "SIMULATOR=1"], cwd=folder, check=True)
    with (folder / ".env").open("a") as file:
        file.write(f"PORT={stack.port}\nPUBLIC_URL={stack.url}\nJUNIS_TAG={TAG}\n")
    return stack


def _is_whole(url: str) -> bool:
    try:
        body = httpx.get(f"{url}/readyz", timeout=10).json()
    except (httpx.HTTPError, json.JSONDecodeError):
        return False
    return all(body.get(name, "ok") == "ok" for name in ("database", "redis", "worker", "objects"))
