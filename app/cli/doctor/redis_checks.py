"""Redis or Valkey: whether it can be used as it is set up, and whether workers report to it."""

import secrets
from collections.abc import Mapping
from typing import Any, cast

from redis.exceptions import RedisError

from app.cli.doctor.checking import Place
from app.cli.doctor.results import Result, failed, not_checked, ok, warning
from app.core.redis_errors import explain
from app.core.redis_keys import redis_key
from app.queue.heartbeat import read_loops

_MEND = "start Redis or Valkey, or correct REDIS_URL"
_ALMOST_FULL = 0.9


async def check_redis(place: Place) -> Result:
    """Whether it accepts writes and scripts, and keeps what it is given."""
    redis = place.resources.redis
    try:
        await redis.ping()
        about = cast("Mapping[str, Any]", await redis.info())
    except (RedisError, OSError) as error:
        return failed(explain(error, redis), _MEND)
    if about.get("role") not in {None, "master"}:
        return failed("it is a replica, which accepts no writes", "have REDIS_URL lead to the primary")
    try:
        await _write(place)
    except (RedisError, OSError) as error:
        return failed(
            f"it accepts no writes: {explain(error, redis)}", "see its log: its memory or its disk may be full"
        )
    return _kept(about)


async def _write(place: Place) -> None:
    redis, key = place.resources.redis, redis_key("doctor", secrets.token_hex(8))
    await redis.set(key, b"junis", ex=10)
    script = redis.register_script("return redis.call('DEL', KEYS[1])")
    if await script(keys=[key]) != 1:
        raise RedisError("what was written was not there")


def _kept(about: Mapping[str, Any]) -> Result:
    version = about.get("valkey_version") or about.get("redis_version")
    policy, most = str(about.get("maxmemory_policy", "noeviction")), int(about.get("maxmemory", 0))
    mend = "set maxmemory-policy to noeviction, and maxmemory higher"
    if most and policy != "noeviction":
        return warning(f"it drops keys when its memory is full ({policy}), and with them limits and wakes", mend)
    if most and int(about.get("used_memory", 0)) > most * _ALMOST_FULL:
        return warning("its memory is almost full, after which it accepts no writes", "raise maxmemory")
    # What it forgets is found in Postgres or counted again.
    is_saved = about.get("aof_enabled") or about.get("rdb_last_save_time")
    return ok(f"version {version}, {policy}, {'saved to disk' if is_saved else 'not saved to disk, which is no loss'}")


async def check_worker(place: Place) -> Result:
    """Whether a worker has reported lately."""
    try:
        loops = await read_loops(place.resources.redis)
    except (RedisError, OSError):
        return not_checked("Redis cannot be used")
    if loops is None:
        mend = "start `junis worker`; if it runs, it has another REDIS_URL or cannot use its stores: see its log"
        return warning("no worker has reported for half a minute: nothing is generated", mend)
    stalled = [name for name, comes_round in loops.items() if not comes_round]
    if stalled:
        return failed(f"a worker's loops hang: {', '.join(stalled)}", "see its log, and restart it")
    return ok("it reports")
