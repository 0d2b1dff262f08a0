"""Three APIs and three workers behind the proxy."""

import pytest

from tests.deployment.figures import Figures
from tests.deployment.stack import Stack
from tests.deployment.visitor import Visitor

pytestmark = [pytest.mark.deployment, pytest.mark.thorough]

CHATS = 30


def test_three_of_each_share_the_work(stack: Stack, visitor: Visitor, figures: Figures) -> None:
    with figures.timed("scale to three"):
        stack.compose("up", "-d", "--wait", "--scale", "api=3", "--scale", "worker=3")
    try:
        statuses = [visitor.chat("Say hello").status_code for _ in range(CHATS)]
        visitor.draw()
        logs = {name: stack.docker("logs", name) for name in stack.containers("api")}
        stack.compose("stop")
        codes = stack.exit_codes()
    finally:
        stack.compose("up", "-d", "--wait")

    assert set(statuses) == {200}
    assert len(logs) == 3
    assert all("/v1/chat/completions" in log for log in logs.values())
    assert set(codes.values()) == {0}, codes
    stack.junis("verify-ledger")
