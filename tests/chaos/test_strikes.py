"""Strikes: each kind happens, and none meets a victim that is still struck."""

from itertools import pairwise
from random import Random

import pytest

from chaos.strikes import APIS, Blow, Kind, StoreKind, Strike, draw_strikes, kinds_of

LONG = 120.0


def draw(seed: int, store: StoreKind = StoreKind.FOLDER, seconds: float = LONG) -> tuple[Strike, ...]:
    return draw_strikes(Random(seed), store, seconds)


@pytest.mark.parametrize("store", StoreKind)
@pytest.mark.parametrize("seed", range(5))
def test_every_kind_happens_in_a_long_run(seed: int, store: StoreKind) -> None:
    assert {strike.kind for strike in draw(seed, store)} == kinds_of(store, LONG).keys()


@pytest.mark.parametrize("seed", range(5))
def test_a_victim_is_not_struck_again_before_it_is_back(seed: int) -> None:
    strikes = draw(seed)

    assert all(0 <= strike.at < LONG for strike in strikes)
    for victim in {strike.kind.victim for strike in strikes}:
        own = [strike for strike in strikes if strike.kind.victim == victim]
        assert all(later.at > earlier.at + earlier.down for earlier, later in pairwise(own))


def test_sleep_outlasts_the_leases_of_workers_and_long_sleep_those_of_keys() -> None:
    strikes = [strike for seed in range(5) for strike in draw(seed)]

    assert min(strike.down for strike in strikes if strike.kind.blow is Blow.SLEEP) > 5
    assert min(strike.down for strike in strikes if strike.kind.blow is Blow.LONG_SLEEP) > 60


def test_no_process_sleeps_for_most_of_a_short_run() -> None:
    assert Kind(Blow.LONG_SLEEP, APIS[1]) not in {strike.kind for strike in draw(1, seconds=25)}


def test_a_store_fails_as_its_kind_can() -> None:
    assert {strike.kind.blow for strike in draw(1, StoreKind.S3) if strike.kind.victim == "store"} == {
        Blow.SLOW,
        Blow.REFUSE,
        Blow.DROP,
    }
