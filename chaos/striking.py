"""The blows, dealt from the main thread: programs that are started from another one die with it."""

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
    """What was done to whom, `at` seconds after the beginning."""

    at: float
    victim: str


def deal(plant: Plant, strikes: Sequence[Strike], *, began: float, is_over: Callable[[], bool]) -> list[Blow]:
    """Deal each blow at its time, start what was killed again, and tell what was done, in order.

    Args:
        plant: whom.
        strikes: in the order of their times.
        began: what the times are counted from, by the monotonic clock.
        is_over: asked while waiting; once it is so, nothing more is done.
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
        return  # it is only just coming up, and has nothing to forget
    finally:
        redis.close()
