"""The snippets of the page of clients work as written there. `FULL=1` runs those of the large packages, too."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import Stack
from tests.contract.accounts import Account
from tests.contract.environments import framework_environment, node_modules_of, programs_for_node, python_of
from tests.contract.framework_clients import LARGE, SMALL
from tests.contract.runs import run_program
from tests.docs.files import block, blocks

# The first one waits for its environment to be installed.
pytestmark = pytest.mark.timeout(600)

PAGE = "docs/clients.md"
ENVIRONMENTS = {
    "python langchain": "openai2",
    "python llamaindex": "llamaindex",
    "python pydantic-ai": "agents",
    "python openai-agents": "small",
    "python smolagents": "agents",
    "python instructor": "small",
    "python litellm": "litellm",
    "python dspy": "litellm",
    "python livekit": "livekit",
    "js openai": "node",
    "js ai": "node",
    "js ai-openai": "node",
    "js langchain": "langchain-js",
}
IN_SHELL = ("sh curl", "sh elevenlabs")
# What the settings are is tried by hand.
BY_HAND = ("sh open-webui",)

_LARGE = {client.environment for client in LARGE.values()} - {client.environment for client in SMALL.values()}
TRIED = {
    mark: environment
    for mark, environment in ENVIRONMENTS.items()
    if os.environ.get("FULL") == "1" or environment not in _LARGE
}
SAID = {"python instructor": "title='Hello!' verses=1", "python smolagents": "Snow in"}


@pytest.fixture
def settings(stack: Stack, account: Account) -> dict[str, str]:
    return {"JUNIS_URL": stack.url, "JUNIS_API_KEY": account.keys["every_scope"]}


def test_every_snippet_is_tried() -> None:
    marks = [found.info for found in blocks(PAGE)]

    assert sorted(marks) == sorted([*ENVIRONMENTS, *IN_SHELL, *BY_HAND, "python openai", "yaml llm"])


@pytest.mark.parametrize("mark", [mark for mark in TRIED if mark.startswith("python")])
def test_python(settings: dict[str, str], tmp_path: Path, mark: str) -> None:
    program = tmp_path / "snippet.py"
    program.write_text(block(PAGE, mark))

    printed = run_program([python_of(TRIED[mark]), "-W", "ignore", program], tmp_path, settings=settings)

    assert SAID.get(mark, "You said: Hello!") in printed


def test_python_in_this_environment(settings: dict[str, str], tmp_path: Path) -> None:
    printed = run_program([sys.executable, "-c", block(PAGE, "python openai")], tmp_path, settings=settings)

    assert printed.endswith("You said: Hello!\n")


@pytest.mark.parametrize("mark", [mark for mark in TRIED if mark.startswith("js")])
def test_node(settings: dict[str, str], run_folder: Path, mark: str) -> None:
    node = node_modules_of(TRIED[mark])
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


def test_llm(settings: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "llm"
    folder.mkdir()
    entry = block(PAGE, "yaml llm").replace("https://junis.example", settings["JUNIS_URL"])
    (folder / "extra-openai-models.yaml").write_text(entry)
    program = framework_environment("small") / "bin" / "llm"
    here = {"LLM_USER_PATH": str(folder)}

    run_program([program, "keys", "set", "junis", "--value", settings["JUNIS_API_KEY"]], tmp_path, settings=here)
    printed = run_program([program, "-m", "junis", "Hello!"], tmp_path, settings=here)

    assert printed.endswith("You said: Hello!\n")
