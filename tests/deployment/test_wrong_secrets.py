"""A service that has a wrong secret of a store says so in a line, and does not show it."""

import json
from collections.abc import Iterator

import pytest

from tests.deployment.stack import PROJECT, Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.deployment, pytest.mark.thorough]

WRONG = "thispasswordiswrong"
# By the store: the setting, which the line names, and its wrong value.
SETTINGS = {
    "postgres": ("DATABASE_URL", f"postgresql://junis:{WRONG}@postgres:5432/junis"),
    "redis": ("REDIS_URL", f"redis://:{WRONG}@redis:6379/0"),
    "objects": ("S3_SECRET_ACCESS_KEY", WRONG),
}


@pytest.fixture
def misled(stack: Stack, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container of a service in which the secret of one store is wrong."""
    service, store = request.param
    name = f"{PROJECT}-misled"
    stack.compose("run", "-d", "--no-deps", "--name", name, "-e", "=".join(SETTINGS[store]), service)
    yield name
    stack.docker("rm", "--force", name)


@pytest.mark.parametrize(
    ("misled", "store"),
    [((service, store), store) for service in ("api", "worker") for store in SETTINGS],
    indirect=["misled"],
    ids=[f"{service}-{store}" for service in ("api", "worker") for store in SETTINGS],
)
def test_a_wrong_secret_is_told_in_a_line(stack: Stack, misled: str, store: str) -> None:
    def told() -> list[str]:
        lines = stack.docker("logs", misled).splitlines()
        return [line for line in lines if SETTINGS[store][0] in line and json.loads(line)["level"] == "error"]

    assert wait_until(told)
    log = stack.docker("logs", misled)
    assert "Traceback" not in log
    assert WRONG not in log


def test_a_migration_with_a_wrong_password_fails_with_one_line(stack: Stack) -> None:
    setting = "=".join(SETTINGS["postgres"])
    name = f"{PROJECT}-misled"
    stack.compose("run", "-d", "--no-deps", "--name", name, "-e", setting, "migrate")
    try:
        assert stack.docker("wait", name).strip() == "1"
        [line] = stack.docker("logs", name).splitlines()
    finally:
        stack.docker("rm", "--force", name)

    assert "password" in line
    assert WRONG not in line
