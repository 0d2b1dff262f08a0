"""Conditions that the commands refuse before they start anything."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.ports import free_port

REPOSITORY = Path(__file__).parents[2]


def run_quickstart(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder; its data is in `data` there."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LLM_", "REPLICATE_"))}
    return subprocess.run(
        [sys.executable, "-m", "devstack", "quickstart"],
        cwd=folder,  # a folder without a developer's .env
        env={**environ, "PYTHONPATH": str(REPOSITORY), "DATA_DIR": "data", "PORT": str(free_port()), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_port_in_use_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        outcome = run_quickstart(tmp_path, PORT=str(server.getsockname()[1]))

    assert outcome.returncode == 1
    assert "is in use by another program" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["lock"]


def test_an_incomplete_chat_model_is_refused_and_the_missing_setting_named(tmp_path: Path) -> None:
    outcome = run_quickstart(tmp_path, LLM_API_KEY="secret")

    assert outcome.returncode == 1
    assert "LLM_BASE_URL must be set too, since LLM_API_KEY is" in outcome.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    outcome = run_quickstart(tmp_path)

    assert outcome.returncode == 1
    assert str(tmp_path / "data") in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that the installation reads, with its own PATH in `bin`."""
    (tmp_path / "devstack").mkdir()
    for name in ("devstack/install.sh", "pyproject.toml", "uv.lock"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for program in ("sh", "cat", "cksum", "dirname"):
        found = shutil.which(program)
        assert found
        (tmp_path / "bin" / program).symlink_to(found)
    return tmp_path


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def install(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(checkout / "devstack/install.sh"), "run"],
        env={"PATH": str(checkout / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_shim_that_starts_nothing_does_not_count_as_python(checkout: Path) -> None:
    write_program(checkout / "bin/python3.13", "echo 'python3.13: command not found' >&2; exit 127")

    outcome = install(checkout)

    assert outcome.returncode == 1
    assert outcome.stderr.startswith("Python 3.11, 3.12 or 3.13 is needed.")
    assert len(outcome.stderr.splitlines()) == 1


def test_a_python_without_venv_is_refused_and_the_package_to_install_named(checkout: Path) -> None:
    write_program(checkout / "bin/python3.12", f'case $2 in *ensurepip*) exit 1 ;; esac; exec {sys.executable} "$@"')

    outcome = install(checkout)

    assert outcome.returncode == 1
    assert outcome.stderr == "python3.12 has no venv module. On Debian and Ubuntu: apt install python3-venv\n"
    assert not (checkout / ".venv").exists()
