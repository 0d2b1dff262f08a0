"""Each service in turn is killed, or restarted, under a load of chats, and the stack recovers by itself."""

import time

import pytest

from tests.deployment.figures import Figures
from tests.deployment.stack import Stack
from tests.deployment.traffic import DROPPED, chats
from tests.deployment.visitor import Visitor
from tests.waiting import wait_until

pytestmark = [pytest.mark.deployment, pytest.mark.thorough]

PER_SECOND = 4
LONG_RUNNING = ("proxy", "api", "worker", "simulator", "postgres", "redis", "objects")
# What a client may see besides 200: no response while the proxy or its connection ends, and that something is away.
BEARABLE = {200, DROPPED, 502, 503, 504}


def ends_after(service: str) -> set[str]:
    """How pictures may end. The simulated vendor keeps nothing: what it was making is lost with it."""
    return {"completed", "failed"} if service == "simulator" else {"completed"}


@pytest.mark.parametrize("service", LONG_RUNNING)
def test_what_is_killed_comes_back(stack: Stack, visitor: Visitor, figures: Figures, service: str) -> None:
    [container] = stack.containers(service)
    before = stack.inspect(service)["RestartCount"]

    with chats(visitor, per_second=PER_SECOND) as load:
        began = time.monotonic()
        stack.kill(container)
        wait_until(lambda: stack.inspect(service)["RestartCount"] > before)
        stack.wait_until_whole()
        visitor.wait_until_served()
        visitor.draw()
        took = time.monotonic() - began

    figures.add(f"killed: {service}", f"{took:.1f} s")
    assert set(load.statuses) <= BEARABLE, load.statuses
    assert {visitor.wait_until_ended(content) for content in load.accepted} <= ends_after(service)
    stack.junis("verify-ledger")


@pytest.mark.parametrize("service", LONG_RUNNING)
def test_what_is_restarted_comes_back(stack: Stack, visitor: Visitor, figures: Figures, service: str) -> None:
    with chats(visitor, per_second=PER_SECOND) as load, figures.timed(f"restarted: {service}"):
        stack.compose("restart", service)
        stack.wait_until_whole()
        visitor.wait_until_served()
        visitor.draw()

    assert set(load.statuses) <= BEARABLE, load.statuses
    assert {visitor.wait_until_ended(content) for content in load.accepted} <= ends_after(service)
    stack.junis("verify-ledger")
