"""The order of a run's files: those that take longest first, so that no process is left with one at the end.

Each process is given a file whenever it has no other (`--dist loadfile`, `--no-loadscope-reorder`).
"""

from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from devstack.product import ROOT

# About how long a test takes, by folder or file below `tests`. What is not listed takes little.
SECONDS: Final = {
    "admin": 0.5,
    "browser": 4.0,
    "browser/pages": 25.0,
    "browser/test_content.py": 15.0,
    "chaos": 0.5,
    "chaos/test_chaos.py": 100.0,
    "chat": 0.5,
    "chat/test_shutdown.py": 8.0,
    "chat/turns": 2.0,
    "chat/turns/test_outages.py": 12.0,
    "cli": 1.0,
    "cli/test_demo.py": 3.0,
    "cli/test_operator.py": 15.0,
    "cli/test_server_role.py": 4.0,
    "contract": 1.0,
    "contract/test_documentation.py": 5.0,
    "core/test_busy_postgres.py": 8.0,
    "core/test_wrong_secrets.py": 2.0,
    "credits": 0.5,
    "devstack": 2.0,
    "devstack/test_first_chat.py": 6.0,
    "devstack/test_quickstart.py": 5.0,
    "docs/test_image.py": 4.0,
    "docs/test_readme.py": 7.0,
    "faults": 6.0,
    "faults/test_sleeping_processes.py": 15.0,
    "openapi/test_schemathesis.py": 25.0,
    "proxy": 8.0,
    "upgrades": 6.0,
    "upgrades/test_interrupted.py": 25.0,
    "worker": 2.0,
    "worker_faults": 2.0,
    "worker_faults/test_fairness.py": 15.0,
    "worker_faults/test_webhooks.py": 0.5,
}
_A_LITTLE: Final = 0.1
_TESTS: Final = ROOT / "tests"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files by how long they may take. The tests of a file stay together, in their order."""
    sizes = Counter(item.path for item in items)
    durations = {path: size * seconds_a_test(path) for path, size in sizes.items()}
    items.sort(key=lambda item: (-durations[item.path], str(item.path)))


def seconds_a_test(path: Path) -> float:
    """About how long a test of this file takes: what is said of it, or of the innermost of its folders."""
    names = [path.relative_to(_TESTS), *path.relative_to(_TESTS).parents] if path.is_relative_to(_TESTS) else []
    return next((SECONDS[str(name)] for name in names if str(name) in SECONDS), _A_LITTLE)
