"""LangChain's standard suite for chat models against the server."""

import json
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Stack
from tests.contract.accounts import Account
from tests.contract.environments import CLIENTS, framework_environment

pytestmark = pytest.mark.timeout(600)

# What does not pass, and whose limit that is. A test that is named here and passes fails this one.
LIMITS = {
    "test_pdf_inputs": "the server's: a document goes only to a model whose price for it the catalog knows",
    "test_pdf_tool_message": "the server's, likewise",
    "test_stream_time": "the suite's: it replays a recording and asks no server",
}


def outcomes(report: Path) -> Iterator[tuple[str, str]]:
    """The name of each test of the suite, and `passed`, `failed` or `skipped`."""
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - the file is our own run's
        found = {child.tag for child in case}
        failed = "failed" if found & {"failure", "error"} else "passed"
        yield case.attrib["name"].partition("[")[0], "skipped" if "skipped" in found else failed


def test_every_test_passes_or_is_named(stack: Stack, account: Account, tmp_path: Path) -> None:
    shutil.copy(CLIENTS / "langchain_suite.py", tmp_path)
    access = {"base_url": f"{stack.base_url}/v1", "key": account.keys["every_scope"]}

    command = [
        *(str(framework_environment("langchain") / "bin" / "python"), "-m", "pytest", "langchain_suite.py", "-q"),
        *("-p", "no:cacheprovider", "-p", "langchain_tests.conftest", "--junitxml", "report.xml"),
        *("--asyncio-mode", "auto", "-o", "asyncio_default_test_loop_scope=session"),
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ACCESS": json.dumps(access)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False
    )

    found = list(outcomes(tmp_path / "report.xml"))
    assert len(found) >= 50
    assert {name for name, outcome in found if outcome != "passed"} == set(LIMITS), done.stdout
