import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import ROOT

TESTS = """
import pytest

def test_that_is_run():
    pass

@pytest.mark.parametrize("number", [1, 2])
def test_that_needs_a_program(number):
    pytest.skip("nginx is not installed (apt install nginx-light)")

def test_that_needs_another():
    pytest.skip("curl is not installed (apt install curl)")

@pytest.mark.xfail
def test_that_is_known_to_fail():
    assert False
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_example.py").write_text(TESTS)
    return tmp_path


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    plugins = ("-p", "tests.not_run", "-p", "xdist.plugin", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *plugins, *options]
    # Importing the others takes longer than the tests.
    environment = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("processes", ["0", "1"])
def test_tests_that_were_not_run_are_listed_last(folder: Path, processes: str) -> None:
    done = run(folder, "-ra", "-n", processes)

    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-3:-1] == [
        "NOT RUN: 2 tests: nginx is not installed (apt install nginx-light)",
        "NOT RUN: 1 test: curl is not installed (apt install curl)",
    ]


def test_nothing_is_listed_if_all_tests_were_run(folder: Path) -> None:
    done = run(folder, "-k", "is_run")

    assert done.returncode == 0, done.stdout
    assert "NOT RUN" not in done.stdout


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_run_in_which_nothing_may_be_skipped_fails(folder: Path, processes: str) -> None:
    done = run(folder, "--nothing-skipped", "-n", processes)

    assert done.returncode == 1
    assert "not run: nginx is not installed" in done.stdout
    assert "3 failed, 1 passed, 1 xfailed" in done.stdout
