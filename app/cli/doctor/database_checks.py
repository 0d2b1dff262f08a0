"""Postgres: whether it can be used, and by whom; its schema; what is between it and us; what agents' models cost."""

import asyncio
from collections.abc import Awaitable, Callable

from app.catalog.errors import chat_price_command, generation_price_command
from app.cli.doctor.checking import Place
from app.cli.doctor.results import Result, failed, not_checked, ok, warning, worst
from app.cli.server_role import needed_privileges
from app.core.addresses import POSTGRES_PORT, address_of
from app.core.database import Database, Transaction
from app.core.errors import ServiceUnavailableError
from app.core.postgres_errors import explain, sqlstate
from app.core.schema import SchemaState, read_schema_state

_ABOUT = """
SELECT current_setting('server_version') AS version, current_user AS role, pg_is_in_recovery() AS is_standby,
       current_setting('max_connections')::int AS max_connections
"""
_ROLE = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
_TABLES = "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
_HAS = "SELECT has_table_privilege(format('%I.%I', current_schema(), $1::text), $2)"
_UNPRICED = """
WITH used AS (
    SELECT DISTINCT coalesce(model, $1) AS name, 'chat' AS kind FROM agents WHERE is_active AND agent_type = 'LLM_AGENT'
    UNION SELECT name, kind FROM models WHERE is_active AND kind = 'generation'
)
SELECT u.name, u.kind FROM used u LEFT JOIN models m ON m.name = u.name AND m.is_active AND m.kind = u.kind
WHERE NOT EXISTS (
    SELECT FROM prices p WHERE p.model_name = m.name AND p.effective_at <= now()
        AND (u.kind = 'chat' OR p.ceiling IS NOT NULL)
)
ORDER BY u.kind, u.name
"""
_COUNTED = "SELECT kind, count(*) AS models FROM models WHERE is_active GROUP BY kind ORDER BY kind"
_UNDONE = "the database cannot be used"
_POOLER_SECONDS = 4.0
_NOT_PREPARED = frozenset({"26000", "42P05"})


async def check_database(place: Place) -> Result:
    """Whether Postgres lets us in, and would let all processes in."""
    where = address_of(place.settings.database_url, POSTGRES_PORT)
    try:
        async with place.resources.database.transaction() as tx:
            about = await tx.fetchrow(_ABOUT)
    except ServiceUnavailableError as error:
        return failed(explain(error.__cause__ or error), f"start Postgres at {where}, or correct DATABASE_URL")
    if about is None or about["is_standby"]:
        return failed(f"{where} is a standby, which accepts no writes", "have DATABASE_URL lead to the primary")
    # One API process and one worker.
    needed = 2 * place.settings.database_pool_size + 7
    if needed > about["max_connections"]:
        found = f"{where} allows {about['max_connections']} connections; an API and a worker may need {needed}"
        return warning(found, "raise max_connections, or lower DATABASE_POOL_SIZE")
    return ok(f"Postgres {about['version']} at {where}, as {about['role']}")


async def check_role(place: Place) -> Result:
    """Whether the role may do what the server does, and not more than it should."""
    return await _in_database(place, _check_role)


async def _check_role(tx: Transaction) -> Result:
    lacking = [
        f"{privilege} on {row['name']}"
        for row in await tx.fetch(_TABLES)
        for privilege in needed_privileges(row["name"]).split(", ")
        if not await tx.fetchval(_HAS, row["name"], privilege)
    ]
    if lacking:
        found = f"the role lacks {len(lacking)} privileges: {', '.join(lacking[:3])}{' …' if len(lacking) > 3 else ''}"
        return failed(found, "run `junis migrate` as the tables' owner with SERVER_DATABASE_PASSWORD, or GRANT them")
    if await tx.fetchval(_ROLE):
        mend = "set SERVER_DATABASE_PASSWORD for `junis migrate`, and use its role junis_server in DATABASE_URL"
        return warning("the role is a superuser, who may change even the ledger", mend)
    return ok("the role may do what the server does")


async def check_schema(place: Place) -> Result:
    """Whether the schema is that of this version."""

    async def check(tx: Transaction) -> Result:
        state = await read_schema_state(tx)
        if state is SchemaState.CURRENT:
            return ok("up to date")
        if state is SchemaState.AHEAD:
            return ok("of a newer version, on which this one works too")
        return failed("missing" if state is SchemaState.MISSING else "older than this version", "run `junis migrate`")

    return await _in_database(place, check)


async def check_pooler(place: Place) -> Result:
    """Whether a connection keeps its session, without which notifications and prepared statements get lost."""
    if place.settings.database.is_pooled:
        return ok("DATABASE_POOLER says that a pooler gives each transaction another session")
    first, second = (Database.open(place.settings, pool_size=1) for _ in range(2))
    try:
        async with asyncio.timeout(_POOLER_SECONDS):
            is_kept = await _keeps_its_session(first, second)
    except ServiceUnavailableError:
        return not_checked(_UNDONE)
    except TimeoutError:
        return warning("a second connection got no transaction while a first one had one", "give the pooler more room")
    except Exception as error:
        # A statement was prepared in another session than the one that was to run it.
        if sqlstate(error) not in _NOT_PREPARED:
            raise
        is_kept = False
    finally:
        await first.close()
        await second.close()
    if is_kept:
        return ok("a connection keeps its session")
    mend = "set DATABASE_POOLER=transaction and DATABASE_DIRECT_URL, or the pooler to pool by session"
    return failed("a pooler gives each transaction another session", mend)


async def _keeps_its_session(first: Database, second: Database) -> bool:
    """Whether the first connection has the same session after the second one could have taken it."""
    pid = "SELECT pg_backend_pid()"
    async with first.transaction() as tx, second.transaction() as other:
        before = await tx.fetchval(pid)
        await other.fetchval(pid)
    # What was given back last is given out first.
    async with second.transaction() as other, first.transaction() as tx:
        await other.fetchval(pid)
        return bool(await tx.fetchval(pid) == before)


async def check_prices(place: Place) -> Result:
    """Whether every model that agents use has a price: the others are refused."""

    async def check(tx: Transaction) -> Result:
        if await read_schema_state(tx) is SchemaState.MISSING:
            return not_checked("there is no schema yet")
        unpriced = await tx.fetch(_UNPRICED, place.settings.llm_model)
        if unpriced:
            return worst(*(_unpriced(row["name"], row["kind"]) for row in unpriced[:5]))
        counted = {row["kind"]: row["models"] for row in await tx.fetch(_COUNTED)}
        if not counted:
            return warning("the catalog is empty", "run `junis catalog import`, and check its prices")
        return ok("every model in use has one: " + ", ".join(f"{count} {kind}" for kind, count in counted.items()))

    return await _in_database(place, check)


def _unpriced(name: str, kind: str) -> Result:
    command = chat_price_command(name) if kind == "chat" else generation_price_command(name)
    return failed(f"{name} has no price and is refused", f"{command} (0 if it is free)")


async def _in_database(place: Place, check: Callable[[Transaction], Awaitable[Result]]) -> Result:
    try:
        async with place.resources.database.transaction() as tx:
            return await check(tx)
    except ServiceUnavailableError:
        return not_checked(_UNDONE)
