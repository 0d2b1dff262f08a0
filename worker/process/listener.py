import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.queue.arq import channel_of
from app.queue.protocol import WakeKind
from worker.process.loops import Pulse

_LISTEN_SECONDS = 5.0
_RECONNECT_SECONDS = 1.0


async def listen(redis: Redis, wakes: Mapping[WakeKind, asyncio.Event], pulse: Pulse, *, name: str) -> NoReturn:
    """Set the event of a kind whenever a wake of this kind is sent. If the connection is lost, open a new one."""
    kinds = {channel_of(kind).encode(): kind for kind in wakes}
    while True:
        pulse.beat(name, _LISTEN_SECONDS)
        with suppress(RedisError, OSError):
            async with redis.pubsub() as channels:
                await channels.subscribe(*kinds)
                while True:
                    pulse.beat(name, _LISTEN_SECONDS)
                    message = await channels.get_message(ignore_subscribe_messages=True, timeout=_LISTEN_SECONDS)
                    if message is not None:
                        wakes[kinds[message["channel"]]].set()
        await asyncio.sleep(_RECONNECT_SECONDS)
