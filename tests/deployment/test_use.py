"""The stack as its users see it."""

import json
import time

import pytest

from tests.deployment.figures import Figures
from tests.deployment.stack import OURS, Stack
from tests.deployment.visitor import Visitor

pytestmark = pytest.mark.deployment

# What a stop may take at most, far below the grace after which the engine kills.
SOON = 25.0
WRITES_JSON = ("proxy", *OURS)


def test_a_chat_draws_a_picture_that_survives_restarts(stack: Stack, visitor: Visitor, figures: Figures) -> None:
    with figures.timed("chat and picture"):
        picture = visitor.draw()

    with figures.timed("restart of all"):
        stack.compose("restart")
        stack.wait_until_whole()
    assert visitor.fetch(picture.url) == picture
    with figures.timed("down and up"):
        stack.compose("down")
        stack.compose("up", "-d", "--wait")
        stack.wait_until_whole()
    assert visitor.fetch(picture.url) == picture
    visitor.draw()
    stack.junis("verify-ledger")


def test_up_again_changes_nothing(stack: Stack) -> None:
    before = {service: stack.inspect(service)["Id"] for service in ("proxy", "api", "worker", "postgres")}

    stack.compose("up", "-d", "--wait")

    assert {service: stack.inspect(service)["Id"] for service in before} == before


@pytest.mark.parametrize("service", WRITES_JSON)
def test_every_line_that_our_programs_log_is_json(stack: Stack, visitor: Visitor, service: str) -> None:
    visitor.draw()
    lines = stack.log(service)

    assert lines
    for line in lines:
        # Caddy has names of its own for the same.
        assert {"time", "level", "event"} <= set(json.loads(line)) or service == "proxy", line


def test_every_program_ends_by_itself(stack: Stack, figures: Figures) -> None:
    with figures.timed("stop"):
        stack.compose("stop")
    try:
        assert set(stack.exit_codes().values()) == {0}, stack.exit_codes()
    finally:
        stack.compose("up", "-d", "--wait")


@pytest.mark.parametrize("service", ["api", "worker"])
def test_a_program_that_has_just_started_can_be_stopped(stack: Stack, service: str) -> None:
    stack.compose("stop", service)
    stack.compose("start", service)
    began = time.monotonic()
    stack.compose("stop", service)
    took = time.monotonic() - began
    code = stack.inspect(service)["State"]["ExitCode"]
    stack.compose("up", "-d", "--wait")

    # It may not have its handlers yet: then it ends by the signal itself.
    assert code in {0, 143}
    assert took < SOON
