from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial

from arq import ArqRedis

from app.chat_models.client import open_chat_model_client
from app.chat_models.protocol import ChatModelClient
from app.core.database import Database
from app.core.outgoing import Outgoing
from app.core.settings import Settings
from app.core.watch import Watch
from app.predictions.budget import VendorBudget
from app.predictions.open import open_prediction_client
from app.predictions.protocol import PredictionClient
from app.queue.arq import ArqQueue
from app.queue.leader import Leader
from app.queue.open import open_leader, open_redis
from app.queue.probe import probe_redis
from app.queue.protocol import WakeQueue
from app.storage.open import open_store
from app.storage.probe import probe_store
from app.storage.protocol import ObjectStore

_PROBE_SECONDS = 1.0


@dataclass(frozen=True)
class Resources:
    """What a process talks to. The API, the worker and the tests open the same.

    `probes` is the same database as `database`, over one connection that only health checks use, so that these never
    wait behind other work. The watches know whether the object store and Redis can be used; `watching` keeps their
    findings up to date. All pools of Redis connections share what `leader` knows. What is opened later is closed by
    `closing`.
    """

    settings: Settings
    outgoing: Outgoing
    database: Database
    probes: Database
    redis: ArqRedis
    leader: Leader
    queue: WakeQueue
    chat_models: ChatModelClient
    vendor_budget: VendorBudget
    store: ObjectStore
    object_watch: Watch
    redis_watch: Watch
    closing: AsyncExitStack

    @cached_property
    def predictions(self) -> PredictionClient:
        """The vendor's client, which is opened when it is first used."""
        client = open_prediction_client(self.settings, self.outgoing)
        self.closing.push_async_callback(client.close)
        return client


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open everything, and close it in the reverse order. Nothing is connected to before it is needed."""
    async with AsyncExitStack() as stack:
        database = Database.open(settings)
        stack.push_async_callback(database.close)
        probes = Database.open(settings, pool_size=1, statement_seconds=_PROBE_SECONDS)
        stack.push_async_callback(probes.close)
        leader = open_leader(settings)
        stack.push_async_callback(leader.close)
        redis = open_redis(settings, leader)
        stack.push_async_callback(redis.aclose, close_connection_pool=True)
        outgoing = Outgoing.of(settings)
        chat_models = open_chat_model_client(outgoing)
        stack.push_async_callback(chat_models.close)
        store = open_store(settings, outgoing)
        stack.push_async_callback(store.close)
        object_watch = Watch("objects", partial(probe_store, store))
        stack.push_async_callback(object_watch.close)
        redis_watch = Watch("redis", partial(probe_redis, redis))
        stack.push_async_callback(redis_watch.close)
        budget = VendorBudget(
            redis,
            settings.replicate_api_token.get_secret_value(),
            creates_per_minute=settings.replicate_creates_per_minute,
            reads_per_minute=settings.replicate_reads_per_minute,
        )
        yield Resources(
            settings=settings,
            outgoing=outgoing,
            database=database,
            probes=probes,
            redis=redis,
            leader=leader,
            queue=ArqQueue(redis),
            chat_models=chat_models,
            vendor_budget=budget,
            store=store,
            object_watch=object_watch,
            redis_watch=redis_watch,
            closing=stack,
        )
