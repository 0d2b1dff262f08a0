import os
import subprocess
import sys
from pathlib import Path

import pytest

import app
from tests.cli.outcome import run_process

REPORT = "import os, sys\nprint(os.getpid(), *sys.argv[1:])\n"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The working directory of a command; the programs that the test writes there come first in PATH."""
    for name in ("worker", "devstack"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "__main__.py").write_text(REPORT)
    return tmp_path


@pytest.mark.parametrize(("command", "arguments"), [("worker", []), ("quickstart", ["quickstart"])])
def test_the_command_is_replaced_by_the_program(program: Path, command: str, arguments: list[str]) -> None:
    """The program replaces the command in the same process, so that signals reach it."""
    process = subprocess.Popen([sys.executable, "-m", "app.cli", command], stdout=subprocess.PIPE, text=True)
    try:
        output = process.communicate(timeout=60)[0]
    finally:
        process.kill()

    assert process.returncode == 0
    assert output.split() == [str(process.pid), *arguments]


def test_the_quickstart_is_missing_if_only_the_server_is_installed(tmp_path: Path) -> None:
    packages = Path(pytest.__file__).parents[1]
    (tmp_path / "app").symlink_to(Path(app.__file__).parent)
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{packages}"}

    # -S: without the site packages, so that a checkout installed in editable mode is not found.
    refused = subprocess.run(
        [sys.executable, "-S", "-m", "app.cli", "quickstart"], env=env, capture_output=True, text=True, check=False
    )

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: The quickstart needs a checkout of the repository")


def test_a_command_imports_neither_the_web_application_nor_a_vendor_sdk() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys; from app.cli.commands import junis; junis(); print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    modules = set(loaded.stdout.split())
    assert "app.cli.keys" in modules
    assert modules.isdisjoint({"fastapi", "starlette", "boto3", "replicate", "aiohttp", "redis", "arq", "worker"})


def test_only_the_command_that_is_run_is_loaded() -> None:
    code = "import sys; from app.cli.commands import junis; junis(['migrate']); print(*sys.modules)"
    modules = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )

    assert "app.cli.migrate" in modules
    assert modules.isdisjoint({"app.cli.keys", "app.cli.agents", "app.accounts.repository"})


def test_the_programs_own_name_may_be_said_twice() -> None:
    """As by `docker compose run api junis doctor`: the image's entry point is `junis`."""
    once, twice = run_process("doctor", "--help"), run_process("junis", "doctor", "--help")

    assert once.status == 0
    assert "Check every setting" in once.stdout
    assert twice == once
