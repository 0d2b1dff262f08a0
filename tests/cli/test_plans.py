import json
from typing import Any

import pytest

from tests.cli.conftest import Junis


def plans(junis: Junis) -> dict[str, dict[str, Any]]:
    return {plan["name"]: plan for plan in json.loads(junis("plans", "list", "--json").stdout)}


def test_a_new_database_has_the_documented_plans(database_url: str, junis: Junis) -> None:
    lines = [line.split() for line in junis("plans", "list").stdout.splitlines()]

    assert [line[0] for line in lines] == ["NAME", "basic", "pro"]
    assert [line[1:3] for line in lines[1:]] == [["60", "5"], ["300", "20"]]


def test_a_value_that_is_not_given_is_kept(database_url: str, junis: Junis) -> None:
    before = plans(junis)

    changed = junis("plans", "set", "pro", "--requests-per-minute", "600")

    assert changed.status == 0
    assert plans(junis) == {**before, "pro": {**before["pro"], "requests_per_minute": 600}}


def test_every_value_can_be_changed(database_url: str, junis: Junis) -> None:
    limits = ("--requests-per-minute", "1", "--concurrent-requests", "2", "--concurrent-generations", "3")

    junis("plans", "set", "basic", *limits, "--monthly-credits", "12.000001")

    assert plans(junis)["basic"] == {
        "name": "basic",
        "requests_per_minute": 1,
        "concurrent_requests": 2,
        "concurrent_generations": 3,
        "monthly_credits": 12.000001,
    }


def test_a_plan_can_be_added(database_url: str, junis: Junis) -> None:
    limits = ("--requests-per-minute", "10", "--concurrent-requests", "2", "--concurrent-generations", "3")

    added = junis("plans", "set", "trial", *limits)

    assert added.status == 0
    assert plans(junis)["trial"]["requests_per_minute"] == 10
    assert plans(junis)["trial"]["monthly_credits"] == 0


def test_a_new_plan_needs_all_its_limits(database_url: str, junis: Junis) -> None:
    refused = junis("plans", "set", "trial", "--concurrent-requests", "2")

    assert refused.status == 1
    assert "--requests-per-minute and --concurrent-generations" in refused.stderr
    assert "trial" not in plans(junis)


@pytest.mark.parametrize(
    ("option", "value", "status"),
    [
        ("--requests-per-minute", "0", 2),
        ("--concurrent-requests", "many", 2),
        ("--concurrent-generations", "2147483648", 2),
        ("--monthly-credits", "0.0000001", 2),
        ("--monthly-credits", "-1", 1),
    ],
)
def test_a_refused_change_changes_nothing(
    database_url: str, junis: Junis, option: str, value: str, status: int
) -> None:
    before = plans(junis)

    assert junis("plans", "set", "pro", option, value).status == status
    assert plans(junis) == before
