"""The list of who imports whom in docs/architecture.md against the contract that the linter checks."""

import tomllib
from typing import Any

from tests.docs.files import block, read

CONTRACT = "Imports lead downwards"


def contracts() -> dict[str, Any]:
    """The contracts of import-linter by their names."""
    listed = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    return {contract["name"]: contract for contract in listed}


def test_who_imports_whom_is_what_the_linter_checks() -> None:
    documented = block("docs/architecture.md", "text").splitlines()

    assert documented == contracts()[CONTRACT]["layers"]
