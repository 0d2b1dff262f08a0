"""Turns of one organization through several API processes leave an exact ledger, also where its credits end."""

import os

import pytest

from bench.scaling import __main__ as program
from bench.scaling.turns import measure_turns
from bench.scaling.used import Watch


def test_two_processes_spend_the_last_credits_of_one_organization_exactly() -> None:
    """`measure_turns` raises if one charge is missing, or the balance is not what the entries make."""
    plenty, scarce = measure_turns(2, connections=8, seconds=1)

    assert plenty.processes == 2
    assert plenty.answered > 0
    assert plenty.refused == 0
    assert scarce.answered > 0
    assert scarce.refused > 0
    assert set(plenty.used.cpu) == {"api", "postgres", "valkey", "clients"}
    assert 0 < plenty.used.busy <= 1
    assert [row[0] for table in program.tables([(plenty, scarce)], []) for row in table.rows] == ["2", "2"]


def test_what_is_used_is_that_since_the_watch_began() -> None:
    readings = iter([10.0, 10.5])
    watch = Watch({"api": lambda: next(readings)})

    used = watch.used()

    assert used.cpu == {"api": 0.5}
    assert used.of_each("api", 100) == 5.0
    assert used.busy == pytest.approx(0.5 / used.seconds / len(os.sched_getaffinity(0)))
