"""The examples of the API's public documentation work as written there, apart from the key and the address."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import Stack
from tests.contract.accounts import Account
from tests.contract.environments import Node, python_environment
from tests.contract.runs import run_program
from tests.docs.files import block

pytestmark = pytest.mark.timeout(300)

HELLO = r"This is a simulated answer .* You said: Hello!\n"
STORY = r"This is a simulated answer .* You said: Tell me a story"


def example(language: str, stack: Stack, account: Account) -> str:
    """An example with the key and the address of this stack."""
    text = block("tests/contract/clients/documentation.md", language)
    here = text.replace("https://api.junis.ai/api/external", stack.base_url)
    return here.replace("jns_live_your_api_key", account.keys["every_scope"])


@pytest.mark.parametrize("openai", ["this environment's", "openai2", "openai1"])
def test_python(stack: Stack, account: Account, tmp_path: Path, openai: str) -> None:
    python = python_environment(openai) / "bin" / "python" if openai.startswith("openai") else Path(sys.executable)
    both = example("python", stack, account) + example("python streaming", stack, account)

    printed = run_program([python, "-c", both], tmp_path)

    assert re.fullmatch(HELLO + STORY, printed)


def test_node(stack: Stack, account: Account, node: Node, node_folder: Path) -> None:
    program = node_folder / "documentation.mjs"
    program.write_text(example("javascript", stack, account))

    printed = run_program([node.program, program], node_folder)

    assert re.fullmatch(HELLO, printed)


def test_curl(stack: Stack, account: Account, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed (apt install curl)")

    printed = json.loads(run_program(["sh", "-c", example("sh", stack, account)], tmp_path))

    assert printed["object"] == "chat.completion"
    assert printed["choices"][0]["message"]["content"].endswith("You said: Hello, how are you?")
