"""A seed determines a run: its requests, its kills, and the vendor's faults."""

from chaos.plan import ORGANIZATIONS, VICTIM_WEIGHTS, Plan, Way, make_plan
from simulator.faults.draw import stable_key

SECONDS = 25.0


def plan(seed: int, *, generations: int = 60) -> Plan:
    return make_plan(seed, generations=generations, seconds=SECONDS)


def test_the_same_seed_makes_the_same_plan() -> None:
    assert plan(5) == plan(5)


def test_another_seed_makes_another_plan() -> None:
    assert plan(5).requests != plan(6).requests
    assert plan(5).strikes != plan(6).strikes


def test_the_number_of_requests_does_not_change_the_kills() -> None:
    assert plan(5, generations=500).strikes == plan(5).strikes


def test_every_request_is_different_so_that_each_draws_its_own_faults() -> None:
    """The simulator draws faults from model and input; for two equal requests, their order would decide."""
    requests = plan(5, generations=500).requests

    keys = {stable_key(request.model, {"prompt": request.prompt}) for request in requests}

    assert len(keys) == 500


def test_every_process_is_killed_while_there_are_requests() -> None:
    made = plan(5)

    assert {strike.victim for strike in made.strikes} == set(VICTIM_WEIGHTS)
    assert all(0 <= strike.at < SECONDS for strike in made.strikes)
    assert max(request.at for request in made.requests) < max(strike.at for strike in made.strikes)


def test_every_organization_makes_both_kinds_of_request() -> None:
    asked = {(request.organization, request.way) for request in plan(5, generations=500).requests}

    assert asked == {(organization, way) for organization in range(ORGANIZATIONS) for way in Way}
