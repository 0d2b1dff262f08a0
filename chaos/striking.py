"""Kills and restarts, made from the main thread: a program that another thread starts dies with that thread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, sleep

from redis import Redis
from redis.exceptions import RedisError

from chaos.plan import FLUSH, Strike
from chaos.plant import Plant

_PATIENCE_STEP = 0.1


@dataclass(frozen=True)
class Blow:
    """A strike as it was carried out, `at` seconds after the beginning."""

    at: float
    victim: str


def deal(plant: Plant, strikes: Sequence[Strike], *, began: float, is_over: Callable[[], bool]) -> list[Blow]:
    """Carry out each strike at its time, and start again what was killed; returns what was done, in order.

    Args:
        plant: The running product.
        strikes: In the order of their times.
        began: The moment by the monotonic clock from which times are counted.
        is_over: Called while waiting; once it returns true, nothing more is done.
    """
    dealt: list[Blow] = []
    for strike in strikes:
        if not _wait_until(began + strike.at, is_over):
            break
        dealt.append(Blow(monotonic() - began, strike.victim))
        _deal(plant, strike)
    return dealt


def _wait_until(moment: float, is_over: Callable[[], bool]) -> bool:
    while monotonic() < moment:
        if is_over():
            return False
        sleep(_PATIENCE_STEP)
    return True


def _deal(plant: Plant, strike: Strike) -> None:
    if strike.victim == FLUSH:
        _flush(plant)
        return
    plant.kill(strike.victim)
    sleep(strike.down)
    plant.start(strike.victim)


def _flush(plant: Plant) -> None:
    redis = Redis.from_url(plant.settings.redis_url)
    try:
        redis.flushall()
    except RedisError:
        return  # it is still starting, and has nothing to forget
    finally:
        redis.close()
