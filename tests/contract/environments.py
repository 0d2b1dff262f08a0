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
    uv = shutil.which("uv", path=os.pathsep.join([f"{sys.prefix}/bin", os.environ.get("PATH", os.defpath)]))
    if uv is None:
        pytest.skip("uv, which makes the clients' environments, is not installed (pip install uv)")
    folder = _CACHE / group
    settings = {
        "UV_PROJECT_ENVIRONMENT": str(folder),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_COMPILE_BYTECODE": "1",
    }
    _run([uv, "sync", "--locked", "--only-group", group, "--project", str(CLIENTS)], settings)
    return folder


def node_environment() -> Node:
    """Node with the packages of the clients' lock file."""
    programs = python_environment("node") / "bin"
    folder = _CACHE / f"node_modules-{_fingerprint()}"
    if not folder.exists():
        _install_packages(programs, folder)
    return Node(programs / "node", folder / "node_modules")


def _install_packages(programs: Path, folder: Path) -> None:
    """Install under a temporary name and rename the folder, so that interrupted or concurrent runs do no harm."""
    draft = Path(tempfile.mkdtemp(dir=folder.parent))
    for name in _LOCKS:
        shutil.copy(CLIENTS / name, draft)
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    _run([str(programs / "npm"), "ci", "--prefix", str(draft), "--ignore-scripts", "--no-audit"], {"PATH": path})
    try:
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft)


def _fingerprint() -> str:
    return hashlib.sha256(b"".join((CLIENTS / name).read_bytes() for name in _LOCKS)).hexdigest()[:16]


def _run(command: list[str], settings: dict[str, str]) -> None:
    done = subprocess.run(
        command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}")
