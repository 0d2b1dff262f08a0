import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.database import Database
from tests.conftest import Stack
from tests.contract.accounts import RECOVERING_MODEL, Account, open_account
from tests.contract.environments import Node, node_environment, programs_for_node, python_environment
from tests.contract.runs import Run, run_scenarios

# They take minutes to install or to run.
_LONG = ["test_codex.py", "test_langchain_suite.py", "test_python_snippets.py"]
collect_ignore = [] if os.environ.get("FULL") == "1" else _LONG


@pytest.fixture(scope="session")
def node() -> Node:
    return node_environment()


@pytest.fixture(scope="session")
def node_folder(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the source tree with the clients' programs for Node and the packages that they import."""
    return programs_for_node(node, tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="session")
async def account(database: Database) -> Account:
    return await open_account(database)


@pytest.fixture
def settings(stack: Stack, account: Account) -> dict[str, str]:
    """What the snippets of the page of clients find in their environment."""
    return {"JUNIS_URL": stack.url, "JUNIS_API_KEY": account.keys["every_scope"]}


@pytest.fixture(scope="session", params=["openai-python-3", "openai-python-2", "openai-python-1", "openai-node-7"])
async def run(request: pytest.FixtureRequest, stack: Stack, database: Database, run_folder: Path) -> Run:
    """The results of all scenarios, played by one of the SDKs with its own account."""
    commands: dict[str, Callable[[], list[str | Path]]] = {
        "openai-python-3": lambda: _python(Path(sys.executable)),
        "openai-python-2": lambda: _python(python_environment("openai2") / "bin" / "python"),
        "openai-python-1": lambda: _python(python_environment("openai1") / "bin" / "python"),
        "openai-node-7": lambda: _node(request),
    }
    command = commands[request.param]()
    account = await open_account(database)
    stack.simulator.order_fault(RECOVERING_MODEL, "status-429-1")
    return run_scenarios(stack, command, run_folder, f"{request.param}-{secrets.token_hex(4)}", account.keys)


def _python(program: Path) -> list[str | Path]:
    return [program, "-m", "tests.contract.clients.openai_python"]


def _node(request: pytest.FixtureRequest) -> list[str | Path]:
    node: Node = request.getfixturevalue("node")
    folder: Path = request.getfixturevalue("node_folder")
    return [node.program, folder / "openai_node" / "main.mjs"]
