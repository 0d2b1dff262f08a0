"""Two APIs and two workers; one of them loses its connection to one store for a while."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.deployment.figures import Figures
from tests.deployment.stack import PROJECT, Stack
from tests.deployment.traffic import chats
from tests.deployment.visitor import Visitor

pytestmark = [pytest.mark.deployment, pytest.mark.thorough]

PER_SECOND = 4
PARTED_SECONDS = 15.0
# What clients may see: an API without Postgres refuses until the proxy leaves it out; nothing else is noticed.
SEEN = {
    ("api", "postgres"): {200, 503},
    ("api", "redis"): {200},
    ("api", "objects"): {200, 503},
    ("worker", "postgres"): {200},
    ("worker", "redis"): {200},
    ("worker", "objects"): {200},
}


@pytest.fixture(scope="module")
def pairs(stack: Stack) -> Iterator[Stack]:
    """The stack with two APIs and two workers."""
    stack.compose("up", "-d", "--wait", "--scale", "api=2", "--scale", "worker=2")
    yield stack
    stack.compose("up", "-d", "--wait")


@contextmanager
def parted(stack: Stack, container: str, store: str) -> Iterator[None]:
    """Cut a container off from one store during the block."""
    network = f"{PROJECT}_{store}"
    stack.docker("network", "disconnect", network, container)
    try:
        yield
    finally:
        stack.docker("network", "connect", network, container)


@pytest.mark.parametrize(("service", "store"), SEEN)
def test_one_that_is_parted_from_a_store_harms_nobody(
    pairs: Stack, visitor: Visitor, figures: Figures, service: str, store: str
) -> None:
    with chats(visitor, per_second=PER_SECOND) as load:
        with parted(pairs, pairs.containers(service)[0], store):
            # The duration of the partition itself: longer than the limits of the server's own waits.
            time.sleep(PARTED_SECONDS)
        pairs.wait_until_whole()

    figures.add(f"parted: {service} from {store}", str(dict(sorted(load.statuses.items()))))
    assert set(load.statuses) <= SEEN[service, store], load.statuses
    assert load.statuses[200] > 0
    assert all(visitor.wait_until_ended(content) == "completed" for content in load.accepted)
    visitor.draw()
    pairs.junis("verify-ledger")
