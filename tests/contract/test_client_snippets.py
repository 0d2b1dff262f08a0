"""The snippets of the page of clients work as written there: those that need no packages of Python's but our own.

The others are in `test_python_snippets.py`.
"""

import json
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from tests.contract.environments import CLIENTS, node_modules_of, programs_for_node
from tests.contract.framework_clients import LARGE
from tests.contract.runs import run_program
from tests.contract.snippets import BY_HAND, HERE, IN_SHELL, NODE, PAGE, PYTHON
from tests.docs.files import ROOT, block, blocks, read

# The first one waits for its environment to be installed.
pytestmark = pytest.mark.timeout(600)

_LARGE = {client.environment for client in LARGE.values()}
TRIED = [mark for mark, environment in NODE.items() if os.environ.get("FULL") == "1" or environment not in _LARGE]


def test_every_snippet_is_tried() -> None:
    marks = [found.info for found in blocks(PAGE)]

    assert sorted(marks) == sorted([*HERE, *PYTHON, *NODE, *IN_SHELL, *BY_HAND, "yaml llm", "toml codex"])


def test_the_versions_of_the_page_are_the_locked_ones() -> None:
    table = read(PAGE).partition("## ")[0]
    named = re.findall(r"(?:\| |, )(@?[a-z][\w/-]* \d[\d.]*|\d[\d.]*)(?=[,|]| \|)", table)

    assert len(named) >= 18
    package = ""
    for entry in named:
        *name, version = entry.split()
        package = name[0] if name else package
        locked = python_versions(package) | node_versions(package)
        assert any(f"{found}.".startswith(f"{version}.") for found in locked), entry


def python_versions(package: str) -> set[str]:
    """The versions of a Python package in all lock files, the product's own included."""
    files = [ROOT / "uv.lock", CLIENTS / "uv.lock", *CLIENTS.glob("environments/*/uv.lock")]
    found = [entry for file in files for entry in tomllib.loads(file.read_text())["package"]]
    return {entry["version"] for entry in found if entry["name"] == package}


def node_versions(package: str) -> set[str]:
    """The versions of a package for Node in all lock files."""
    files = [CLIENTS / "package-lock.json", *CLIENTS.glob("environments/*/package-lock.json")]
    found = [json.loads(file.read_text())["packages"].get(f"node_modules/{package}") for file in files]
    return {entry["version"] for entry in found if entry}


@pytest.mark.parametrize("mark", HERE)
def test_python_in_this_environment(settings: dict[str, str], tmp_path: Path, mark: str) -> None:
    printed = run_program([sys.executable, "-c", block(PAGE, mark)], tmp_path, settings=settings)

    assert printed.endswith(f"You said: {HERE[mark]}\n")


@pytest.mark.parametrize("mark", TRIED)
def test_node(settings: dict[str, str], run_folder: Path, mark: str) -> None:
    node = node_modules_of(NODE[mark])
    program = programs_for_node(node, run_folder) / f"snippet-{mark[3:]}.mjs"
    program.write_text(block(PAGE, mark))

    printed = run_program([node.program, program], run_folder, settings=settings)

    assert printed.endswith("You said: Hello!\n")


@pytest.mark.parametrize("mark", IN_SHELL)
def test_shell(settings: dict[str, str], tmp_path: Path, mark: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed (apt install curl)")

    printed = run_program(["sh", "-euc", block(PAGE, mark)], tmp_path, settings=settings)

    assert '"finish_reason":"stop"' in printed
    assert printed.endswith("data: [DONE]\n\n")
