import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated, TypeAlias

import aiohttp
import typer

from app.chat_models.trial import TRIAL_ANSWER_TOKENS, TRIAL_PROMPT_TOKENS
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
from app.cli.doctor.results import Result, State, failed, not_checked
from app.cli.doctor.store_checks import check_disk, check_store
from app.cli.parameters import AsJson
from app.cli.printing import one_line, print_json, tell
from app.core.settings import InvalidSettingsError, Settings, load_settings
from app.resources import Resources, open_resources

Report: TypeAlias = Sequence[tuple[str, Result]]

CHECKS = (
    Check("settings", check_settings),
    Check("database", check_database),
    Check("role", check_role),
    Check("schema", check_schema),
    Check("pooler", check_pooler, seconds=20),
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
_REQUEST_SECONDS = 10.0
_WIDTH = max(len(state) for state in State) + 2


def doctor(
    *,
    no_model_call: Annotated[bool, typer.Option("--no-model-call", help="Do not call the chat model.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check every setting against the world, and say in a line each what is wrong and how to mend it.

    It calls the chat model once, for at most a few words; nothing else costs anything. The exit status is 1 if a check
    has failed. No secret is printed.
    """
    if not no_model_call:
        tokens = f"{TRIAL_PROMPT_TOKENS} tokens of prompt and {TRIAL_ANSWER_TOKENS} of answer"
        tell(f"The chat model is called once, for at most {tokens}; --no-model-call leaves that out.")
    try:
        report = asyncio.run(_diagnose(load_settings(), calls_model=not no_model_call))
    except InvalidSettingsError as error:
        report = _without_settings(error)
    _print(report, as_json=as_json)
    raise typer.Exit(int(any(result.state is State.FAILED for _, result in report)))


async def _diagnose(settings: Settings, *, calls_model: bool) -> Report:
    timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout, trust_env=True))
        try:
            opened: Resources | Exception = await stack.enter_async_context(open_resources(settings))
        except Exception as error:  # noqa: BLE001 - such as certificates that cannot be read; a line says it
            opened = error
        results = await run_checks(Place(settings, opened, http, calls_model), CHECKS)
    return [(check.name, result) for check, result in zip(CHECKS, results, strict=True)]


def _without_settings(error: InvalidSettingsError) -> Report:
    first, *others = CHECKS
    lines = [(first.name, failed(line, "correct it; .env.example explains each")) for line in str(error).splitlines()]
    return lines + [(check.name, not_checked("the settings cannot be read")) for check in others]


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        names = ("check", "state", "found", "mend")
        print_json([dict(zip(names, (name, one.state, one.found, one.mend), strict=True)) for name, one in report])
        return
    for name, result in report:
        found = f"{result.found.rstrip('.')}. To mend it: {result.mend}" if result.mend else result.found
        typer.echo(one_line(f"{result.state.ljust(_WIDTH)}{name.ljust(12)}{found}"))
