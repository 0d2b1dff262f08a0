"""Drawn faults depend on the seed and on the request, never on the order of requests."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import httpx

from simulator.config import SimulatorConfig
from simulator.faults.draw import DRAWN, draw_fault, stable_key
from simulator.faults.parsing import parse_prediction_faults
from tests.simulator.server import running_simulator

MANY = [f"boat {number}" for number in range(30)] * 2


def drawn_faults(seed: int, prompts: Sequence[str]) -> dict[str, Counter[str]]:
    """The faults that each prompt's predictions drew in one run of the simulator."""
    drawn: dict[str, Counter[str]] = {}
    with running_simulator(SimulatorConfig(seed=seed, fault_rate=0.5)) as simulator:
        for prompt in prompts:
            # Dropping the connection is one of the faults that a creation can draw.
            with suppress(httpx.RemoteProtocolError):
                simulator.create("simulator/json", prompt=prompt)
        for entry in simulator.log("prediction"):
            drawn.setdefault(entry["input"]["prompt"], Counter()).update([",".join(entry["faults"])])
    return drawn


def test_the_same_seed_draws_the_same_faults() -> None:
    first, second = drawn_faults(5, MANY), drawn_faults(5, MANY[::-1])

    assert first == second
    assert len({fault for faults in first.values() for fault in faults}) > 5


def test_another_seed_draws_other_faults() -> None:
    assert drawn_faults(5, MANY) != drawn_faults(6, MANY)


def test_the_share_of_faults_matches_the_rate() -> None:
    keys = [stable_key("simulator/image", {"prompt": str(number)}) for number in range(4000)]

    drawn = [draw_fault(1, 0.25, key, 1) for key in keys]

    assert 900 < sum(fault is not None for fault in drawn) < 1100
    assert set(drawn) == {None, *DRAWN}
    assert not any(draw_fault(1, 0.0, key, 1) for key in keys)
    assert all(draw_fault(1, 1.0, key, 1) for key in keys)


def test_each_drawn_fault_exists() -> None:
    assert len(parse_prediction_faults(list(DRAWN))) == len(DRAWN)


def test_repeated_requests_draw_again() -> None:
    key = stable_key("simulator/image", {"prompt": "a boat"})

    assert len({draw_fault(1, 1.0, key, occurrence) for occurrence in range(1, 40)}) > 5


def test_the_order_of_keys_in_the_input_does_not_matter() -> None:
    assert stable_key("m", {"a": 1, "b": {"c": 2, "d": 3}}) == stable_key("m", {"b": {"d": 3, "c": 2}, "a": 1})
    assert stable_key("m", {"a": 1}) != stable_key("n", {"a": 1})
