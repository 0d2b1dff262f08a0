from collections.abc import Iterator

import pytest

from devstack.servers import EmbeddedServers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Servers that many tests share; a test that stops one must start it again."""
    with EmbeddedServers(tmp_path_factory.mktemp("stack"), durable=False) as running:
        yield running
