"""A seed determines a run: its requests, its strikes, its store, and whether the vendor sends webhooks."""

from collections import Counter

from chaos.plan import GENERATING, ORGANIZATIONS, RICH, TALKING, TWINS_MODEL, Plan, Way, make_plan
from chaos.strikes import StoreKind

SECONDS = 25.0


def plan(seed: int, *, generations: int = 60) -> Plan:
    return make_plan(seed, generations=generations, seconds=SECONDS)


def test_the_same_seed_makes_the_same_plan() -> None:
    assert plan(5) == plan(5)


def test_another_seed_makes_another_plan() -> None:
    assert plan(5).requests != plan(6).requests
    assert plan(5).strikes != plan(6).strikes


def test_the_number_of_requests_does_not_change_the_strikes() -> None:
    assert plan(5, generations=500).strikes == plan(5).strikes


def test_four_seeds_in_a_row_have_each_store_with_and_without_webhooks() -> None:
    made = {(plan(seed).store, plan(seed).has_webhooks) for seed in range(7, 11)}

    stores = (StoreKind.FOLDER, StoreKind.S3)
    assert made == {(store, has_webhooks) for store in stores for has_webhooks in (True, False)}


def test_the_folder_may_be_on_a_disk_of_its_own() -> None:
    made = {make_plan(seed, generations=3, seconds=SECONDS, folder=StoreKind.DISK).store for seed in range(7, 11)}

    assert made == {StoreKind.DISK, StoreKind.S3}


def test_as_many_generations_are_requested_as_were_ordered() -> None:
    for generations in (3, 60, 500):
        requests = plan(5, generations=generations).requests
        assert sum(request.way in GENERATING for request in requests) == generations
        assert [request.number for request in requests] == list(range(len(requests)))


def test_each_group_of_equal_requests_is_of_two_organizations_at_once() -> None:
    twins = [request for request in plan(5, generations=500).requests if request.model == TWINS_MODEL]

    groups = Counter((request.prompt, request.at) for request in twins)
    organizations = {(request.prompt, request.organization) for request in twins}

    assert len(groups) >= 10
    assert set(groups.values()) == {4}
    assert len(organizations) == 2 * len(groups)


def test_all_other_requests_differ_so_that_each_draws_its_own_faults() -> None:
    prompts = Counter(request.prompt for request in plan(5, generations=500).requests if request.model != TWINS_MODEL)

    assert set(prompts.values()) == {1}


def test_every_organization_asks_in_every_way() -> None:
    asked = {(request.organization, request.way) for request in plan(5, generations=900).requests}

    assert asked == {(organization, way) for organization in range(ORGANIZATIONS) for way in (*GENERATING, *TALKING)}
    assert RICH < ORGANIZATIONS
    assert set(Way) == {*GENERATING, *TALKING}
