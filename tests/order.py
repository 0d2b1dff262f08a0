"""The order of the tests: files that take a minute or more come first, so that none is waited for at the end."""

import pytest

_LONGEST = (
    "tests/upgrades/",
    "tests/chaos/test_chaos.py",
    "tests/faults/",
    "tests/worker_faults/",
    "tests/storage/",
    "tests/contract/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the long files to the front; otherwise the order stays as it is."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))
