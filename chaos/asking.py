"""Requests everything that is planned, helps as clients and operators would, and waits until all of it has ended."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from time import monotonic

import httpx

from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from chaos import organizations
from chaos.asked import Asked
from chaos.clients import Clients
from chaos.organizations import Organization
from chaos.plan import Plan
from chaos.plant import Plant
from chaos.preparing import TURN_SECONDS
from chaos.tables import Postgres

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 60.0
_TOP_UP, _TOP_UP_SECONDS = Decimal("0.25"), 1.5
_GRANT_WITHIN = 10.0
# So long after its time limit, a turn that still wants to be settled has been.
_SETTLED_SECONDS = 15.0
_MOST_CONNECTIONS = 500
_UNENDED = """
SELECT (SELECT count(*) FROM generations
        WHERE status IN ('pending', 'processing') OR status = 'failed' AND retry_count = 0)
     + (SELECT count(*) FROM outputs o JOIN generations c ON c.id = o.generation_id
        WHERE o.attempt <> c.retry_count OR c.status = 'failed' OR c.status = 'completed' AND o.sha256 IS NULL)
"""
_LET_HOLDS_EXPIRE = """
WITH expired AS (
    UPDATE credit_holds SET expires_at = now() WHERE state = 'open' AND expires_at > now() RETURNING 1
)
SELECT count(*) FROM expired
"""
_HELD = "SELECT count(*) FROM credit_holds WHERE state = 'open'"


async def ask_everything(
    plant: Plant, plan: Plan, asking: Sequence[Organization], began: float, seconds: float
) -> tuple[Asked, int]:
    """Request everything, and wait until all of it has ended.

    Args:
        plant: The running product.
        plan: What is requested.
        asking: The organizations.
        began: The moment by the monotonic clock from which times are counted.
        seconds: What has not ended after them is given up, unless more and more of it ends.

    Returns:
        What the clients have sent and received, and how many holds were left by crashed turns.
    """
    last_strike = max((strike.at + strike.down for strike in plan.strikes), default=0)
    postgres = Postgres(plant.settings.database_url)
    limits = httpx.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=0)
    async with httpx.AsyncClient(limits=limits) as http:
        clients = Clients(plant.api_urls, asking, http, began)
        async with _helping(plant, clients):
            await clients.ask_all(plan)
            await asyncio.sleep(max(0.0, began + last_strike - monotonic()))
            await wait_until_none(postgres, _UNENDED, began + seconds)
            await asyncio.sleep(TURN_SECONDS + _SETTLED_SECONDS)
            # No turn runs any more: every chat was answered or died with its process. Their holds expire now.
            abandoned = await postgres.count(_LET_HOLDS_EXPIRE) or 0
            await wait_until_none(postgres, _HELD, began + seconds)
    return clients.asked, abandoned


@asynccontextmanager
async def _helping(plant: Plant, clients: Clients) -> AsyncIterator[None]:
    """Retry failed contents, and grant more to those in need, as long as the block takes."""
    database = Database.open(plant.settings)
    helping = [asyncio.create_task(clients.retry_failed()), asyncio.create_task(_top_up(database, clients))]
    try:
        yield
    finally:
        for helper in helping:
            helper.cancel()
        results = await asyncio.gather(*helping, return_exceptions=True)
        await database.close()
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _top_up(database: Database, clients: Clients) -> None:
    number = 0
    while True:
        await asyncio.sleep(_TOP_UP_SECONDS)
        for organization_id in list(clients.in_need):
            # A grant whose reply was lost is repeated under its name, and added once.
            with suppress(ServiceUnavailableError, TimeoutError):
                async with asyncio.timeout(_GRANT_WITHIN):
                    await organizations.grant(database, organization_id, _TOP_UP, f"top-up {number}")
                number += 1
                clients.in_need.discard(organization_id)


async def wait_until_none(
    postgres: Postgres, query: str, deadline: float, *, patience: float = _PATIENCE_SECONDS
) -> None:
    """Wait until the query counts none, at most until the deadline and for `patience` seconds.

    The deadline is by the monotonic clock. The patience begins again whenever it counts fewer than before: a slow
    machine is no reason to give up.
    """
    fewest: int | None = None
    deadline = max(deadline, monotonic() + patience)
    while (left := await postgres.count(query)) != 0 and monotonic() < deadline:
        if left is not None and (fewest is None or left < fewest):
            fewest, deadline = left, max(deadline, monotonic() + patience)
        await asyncio.sleep(_LOOK_SECONDS)
