"""FastAPI dependencies for what the application was started with."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from app.core.database import Database, Transaction
from app.core.documentation import may_raise
from app.core.errors import ServiceUnavailableError
from app.core.settings import Settings
from app.core.tracing import Tracer
from app.queue.protocol import WakeQueue
from app.resources import Resources
from app.storage.protocol import ObjectStore


async def get_resources(request: Request) -> Resources:
    """What the application was started with."""
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]


@may_raise(ServiceUnavailableError)
async def get_transaction(resources: ResourcesDep) -> AsyncIterator[Transaction]:
    """One transaction for one request, committed before the response is sent."""
    async with resources.database.transaction() as tx:
        yield tx


@may_raise(ServiceUnavailableError)
async def get_database(resources: ResourcesDep) -> Database:
    """The database, for routes that wait or stream: they must not keep a connection of the pool all that time."""
    return resources.database


async def get_queue(resources: ResourcesDep) -> WakeQueue:
    """How the workers are woken."""
    return resources.queue


async def get_settings(resources: ResourcesDep) -> Settings:
    """The process's settings."""
    return resources.settings


async def get_store(resources: ResourcesDep) -> ObjectStore:
    """Where generated files are stored."""
    return resources.store


async def get_tracer(request: Request) -> Tracer | None:
    """What begins traces; None if there are none."""
    tracer: Tracer | None = request.app.state.tracer
    return tracer


TransactionDep = Annotated[Transaction, Depends(get_transaction, scope="function")]
DatabaseDep = Annotated[Database, Depends(get_database)]
QueueDep = Annotated[WakeQueue, Depends(get_queue)]
SettingsDep = Annotated[Settings, Depends(get_settings)]
StoreDep = Annotated[ObjectStore, Depends(get_store)]
TracerDep = Annotated[Tracer | None, Depends(get_tracer)]
