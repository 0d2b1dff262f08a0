"""What an engine is made of, from Debian's packages."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.deployment.errors import NoEngineError

# The suite of the image's base; its Compose is version 2, which the suite before does not have.
SUITE = "trixie"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_PROGRAMS = {"dockerd": "docker.io", "debootstrap": "debootstrap", "iptables": "iptables"}
_PLUGINS = ("docker-compose", "docker-buildx")


def install_programs() -> None:
    """Install the engine, and what it needs, if they are not there.

    Raises:
        NoEngineError: They are not there, and cannot be installed here.
    """
    missing = [package for program, package in _PROGRAMS.items() if not _exists(program)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NoEngineError(f"not installed: {', '.join(missing)}; only root can, with Debian's apt-get")
    # RUNLEVEL keeps Debian from starting an engine of its own.
    quiet = {"RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"])
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], quiet)


def unpack_plugins(cache: Path) -> Path:
    """The folder for DOCKER_CONFIG with Compose and buildx, unpacked without being installed."""
    plugins = cache / "config/cli-plugins"
    if not (plugins / "docker-compose").exists():
        packages = cache / "plugins"
        shutil.rmtree(packages, ignore_errors=True)
        packages.mkdir(parents=True)
        options = _other_suite(packages)
        run(["apt-get", *options, "update", "-qq"])
        run(["apt-get", *options, "download", "-qq", *_PLUGINS], folder=packages)
        for package in packages.glob("*.deb"):
            run(["dpkg-deb", "-x", str(package), str(packages / "unpacked")])
        shutil.copytree(packages / "unpacked/usr/libexec/docker/cli-plugins", plugins, dirs_exist_ok=True)
        shutil.rmtree(packages)
    return plugins.parent


def mirror() -> str:
    """Where this machine gets Debian's packages from."""
    printed = run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"])
    origins = [line.split(maxsplit=1) for line in printed.splitlines()]
    found = [uri for origin, uri in origins if origin == "Debian" and "security" not in uri]
    return found[0] if found else "http://deb.debian.org/debian"


def run(command: Sequence[str], environment: dict[str, str] | None = None, *, folder: Path | None = None) -> str:
    """Run a command of the system's to its end; returns its output.

    Raises:
        NoEngineError: It failed.
    """
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NoEngineError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _exists(program: str) -> bool:
    return bool(shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin"))


def _other_suite(folder: Path) -> list[str]:
    """Options with which apt-get knows this suite alone, and keeps its files in the folder."""
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "archives/partial").mkdir(parents=True)
    (folder / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {mirror()} {SUITE} main\n")
    values = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "APT::Sandbox::User": "root",
    }
    return [part for name, value in values.items() for part in ("-o", f"{name}={value}")]
