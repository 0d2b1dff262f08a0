"""The FastAPI view of `Resources`."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from app.core.database import Database, Transaction
from app.core.settings import Settings
from app.queue.protocol import WakeQueue
from app.resources import Resources
from app.storage.protocol import ObjectStore


def get_resources(request: Request) -> Resources:
    """What the application was started with."""
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]


async def get_transaction(resources: ResourcesDep) -> AsyncIterator[Transaction]:
    """One transaction for one request, committed before the response leaves."""
    async with resources.database.transaction() as tx:
        yield tx


def get_database(resources: ResourcesDep) -> Database:
    """For routes that wait or stream, which must not keep a connection meanwhile."""
    return resources.database


def get_queue(resources: ResourcesDep) -> WakeQueue:
    """Where jobs for the worker go."""
    return resources.queue


def get_settings(resources: ResourcesDep) -> Settings:
    """The process's settings."""
    return resources.settings


def get_store(resources: ResourcesDep) -> ObjectStore:
    """Where generated files are kept."""
    return resources.store


TransactionDep = Annotated[Transaction, Depends(get_transaction, scope="function")]
DatabaseDep = Annotated[Database, Depends(get_database)]
QueueDep = Annotated[WakeQueue, Depends(get_queue)]
SettingsDep = Annotated[Settings, Depends(get_settings)]
StoreDep = Annotated[ObjectStore, Depends(get_store)]
