"""The clients' Python environments and node_modules, installed exactly from their lock files and kept between runs."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parent / "clients"

_CACHE = Path(sys.prefix) / "contract"
_LOCKS = ("package.json", "package-lock.json")


@dataclass(frozen=True)
class Node:
    """The program `node`, and the folder of the packages for the clients."""

    program: Path
    modules: Path


def python_environment(group: str) -> Path:
    """The folder of an environment with one group of the clients' dependencies, created or updated if necessary.

    Skips the test if uv is missing.
    """
    return _synced(group, CLIENTS, "--only-group", group)


def framework_environment(name: str) -> Path:
    """The folder of an environment with the packages of one lock file in `clients/environments`, likewise."""
    return _synced(name, CLIENTS / "environments" / name)


def framework_command(environment: str, program: str, folder: Path) -> list[str | Path]:
    """The command that runs a program of `clients/frameworks` in one of the environments.

    Args:
        environment: a folder of `clients/environments`, a group of the clients' own dependencies, or `node`.
        program: its file and its arguments.
        folder: where a program for Node and its packages are brought together.
    """
    name, *arguments = program.split()
    if name.endswith(".mjs"):
        node = node_modules_of(environment)
        return [node.program, programs_for_node(node, folder) / "frameworks" / name, *arguments]
    return [python_of(environment), "-m", f"tests.contract.clients.frameworks.{Path(name).stem}", *arguments]


def python_of(environment: str) -> Path:
    """The Python of an environment of either kind."""
    of_its_own = (CLIENTS / "environments" / environment).exists()
    return (framework_environment if of_its_own else python_environment)(environment) / "bin" / "python"


def node_modules_of(environment: str) -> Node:
    """Node with the packages of an environment of either kind."""
    project = CLIENTS / "environments" / environment
    return node_environment(project if project.exists() else CLIENTS)


def programs_for_node(node: Node, folder: Path) -> Path:
    """A copy of the clients' programs outside the source tree, beside the packages that they import."""
    copied = folder / node.modules.parent.name
    if not copied.exists():
        shutil.copytree(CLIENTS, copied, ignore=shutil.ignore_patterns("__pycache__", "environments"))
        (copied / "node_modules").symlink_to(node.modules)
    return copied


def _synced(name: str, project: Path, *options: str) -> Path:
    uv = shutil.which("uv", path=os.pathsep.join([f"{sys.prefix}/bin", os.environ.get("PATH", os.defpath)]))
    if uv is None:
        pytest.skip("uv, which makes the clients' environments, is not installed (pip install uv)")
    folder = _CACHE / name
    settings = {
        "UV_PROJECT_ENVIRONMENT": str(folder),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_COMPILE_BYTECODE": "1",
    }
    _run([uv, "sync", "--locked", *options, "--project", str(project)], settings)
    return folder


def node_environment(project: Path = CLIENTS) -> Node:
    """Node with the packages of the lock file in this folder."""
    programs = python_environment("node") / "bin"
    folder = _CACHE / f"node_modules-{_fingerprint(project)}"
    if not folder.exists():
        _install_packages(project, programs, folder)
    return Node(programs / "node", folder / "node_modules")


def _install_packages(project: Path, programs: Path, folder: Path) -> None:
    """Install under a temporary name and rename the folder, so that interrupted or concurrent runs do no harm."""
    draft = Path(tempfile.mkdtemp(dir=folder.parent))
    for name in _LOCKS:
        shutil.copy(project / name, draft)
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    _run([str(programs / "npm"), "ci", "--prefix", str(draft), "--ignore-scripts", "--no-audit"], {"PATH": path})
    try:
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft)


def _fingerprint(project: Path) -> str:
    return hashlib.sha256(b"".join((project / name).read_bytes() for name in _LOCKS)).hexdigest()[:16]


def _run(command: list[str], settings: dict[str, str]) -> None:
    done = subprocess.run(
        command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}")
