"""All checks of `junis doctor`, and what they look at."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

import aiohttp

from app.cli.doctor.chat_checks import CHAT_SECONDS, check_chat_model, check_upstreams
from app.cli.doctor.checking import Check, Place, run_checks
from app.cli.doctor.database_checks import check_database, check_pooler, check_prices, check_role, check_schema
from app.cli.doctor.machine_checks import (
    check_clock,
    check_files,
    check_proxies,
    check_public_url,
    check_settings,
)
from app.cli.doctor.redis_checks import check_redis, check_worker
from app.cli.doctor.replicate_checks import check_replicate, check_webhooks
from app.cli.doctor.results import Result, failed, not_checked
from app.cli.doctor.secret_key_checks import check_secret_key
from app.cli.doctor.store_checks import check_disk, check_store
from app.core.outgoing import Outgoing
from app.core.settings import InvalidSettingsError, Settings, load_settings
from app.resources import Resources, open_resources

Report: TypeAlias = Sequence[tuple[str, Result]]

_REQUEST_SECONDS = 10.0
CHECKS = (
    Check("settings", check_settings),
    Check("database", check_database),
    Check("role", check_role),
    Check("schema", check_schema),
    Check("pooler", check_pooler, seconds=20),
    Check("secret key", check_secret_key),
    Check("redis", check_redis),
    Check("worker", check_worker),
    Check("store", check_store, seconds=60),
    Check("disk", check_disk),
    Check("files", check_files),
    Check("chat model", check_chat_model, seconds=CHAT_SECONDS),
    Check("upstreams", check_upstreams, seconds=60),
    Check("prices", check_prices),
    Check("replicate", check_replicate, seconds=30),
    Check("webhooks", check_webhooks, seconds=60),
    Check("public url", check_public_url, seconds=15),
    Check("clock", check_clock, seconds=20),
    Check("proxies", check_proxies, seconds=20),
)


async def diagnose(*, calls_model: bool) -> Report:
    """What each check has found, by its name. `calls_model`: whether the chat model may be called, once."""
    try:
        settings = load_settings()
    except InvalidSettingsError as error:
        return _without_settings(error)
    return await _diagnose(settings, calls_model=calls_model)


async def _diagnose(settings: Settings, *, calls_model: bool) -> Report:
    timeout, outgoing = aiohttp.ClientTimeout(total=_REQUEST_SECONDS), Outgoing.of(settings)
    connector = aiohttp.TCPConnector(ssl=outgoing.tls)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        try:
            opened: Resources | Exception = await stack.enter_async_context(open_resources(settings))
        except Exception as error:  # noqa: BLE001 - such as certificates that cannot be read; a line says it
            opened = error
        results = await run_checks(Place(settings, opened, http, outgoing, calls_model), CHECKS)
    return [(check.name, result) for check, result in zip(CHECKS, results, strict=True)]


def _without_settings(error: InvalidSettingsError) -> Report:
    first, *others = CHECKS
    lines = [(first.name, failed(line, "correct it; .env.example explains each")) for line in str(error).splitlines()]
    return lines + [(check.name, not_checked("the settings cannot be read")) for check in others]
