"""This machine and its way to the others: settings, clock, proxies, certificates, files, and its own public address."""

import asyncio
import os
import ssl
import stat
import time
from collections.abc import AsyncIterator, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from dotenv import dotenv_values
from redis.exceptions import RedisError

from app.chat.turns.upstreams import Upstreams
from app.cli.doctor.chat_checks import OFFER_SECONDS
from app.cli.doctor.checking import Place
from app.cli.doctor.results import Result, failed, not_checked, ok, warning, worst
from app.core.addresses import http_address_of
from app.core.errors import AppError
from app.core.networks import is_near, shown_url
from app.core.setting_doubts import doubts_about_names, doubts_about_values

_DOUBTFUL_SECONDS, _WRONG_SECONDS = 5.0, 60.0
_UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)


async def check_settings(place: Place) -> Result:
    """Whether a process can start with the settings, and whether one is probably not what was meant."""
    if isinstance(place.opened, Exception):
        found = f"no process can start with them: {type(place.opened).__name__}: {place.opened}"
        return failed(found, "see the other lines, and correct what is named here")
    names = {**dotenv_values(".env"), **os.environ}
    doubts = [*doubts_about_values(place.settings), *doubts_about_names(names)]
    if not doubts:
        return ok("all of them can be read")
    return worst(*(warning(f"{doubt.setting} {doubt.reason}", f"correct {doubt.setting}") for doubt in doubts))


async def check_public_url(place: Place) -> Result:
    """Whether PUBLIC_URL leads to this server, as far as that can be seen from here."""
    url = place.settings.public_url
    where = f"{shown_url(url)} (PUBLIC_URL)"
    try:
        async with place.ask("GET", f"{url}/healthz", allow_redirects=False) as response:
            body = await response.content.read(200)
    except _UNREACHABLE as error:
        found = f"{where} cannot be reached from here: {type(error).__name__}"
        mend = "start the server, or set PUBLIC_URL to the address that clients use"
        # In a container, this machine's own address is the container's.
        return warning(found, mend) if await is_near(url) else failed(found, mend)
    if response.status != 200 or b'"ok"' not in body:
        mend = "set PUBLIC_URL to the address that clients use, without a path, and pass all paths on to the server"
        return failed(f"{where} leads elsewhere: /healthz answers with status {response.status}", mend)
    return ok(f"{where} leads to a server of this kind")


async def check_clock(place: Place) -> Result:
    """Whether this machine's clock agrees with those of Postgres, Redis and the chat model's server."""
    results = [_compared(name, difference) async for name, difference in _differences(place)]
    return worst(*results) if results else not_checked("nobody told the time")


async def _differences(place: Place) -> AsyncIterator[tuple[str, float]]:
    """By whom the time was told, and by how many seconds it is behind ours."""
    try:
        async with place.resources.database.transaction() as tx:
            told = await tx.fetchval("SELECT now()")
            yield "Postgres", time.time() - told.timestamp()
    except AppError:
        pass
    try:
        seconds, microseconds = await place.resources.redis.time()
        yield "Redis", time.time() - seconds - microseconds / 1e6
    except (RedisError, OSError):
        pass
    upstream = Upstreams.of(place.settings).default
    try:
        response = await place.resources.chat_models.read(upstream, "/models", timeout=OFFER_SECONDS)
        told = parsedate_to_datetime(response.headers.get("Date", ""))
        yield "the chat model's server", time.time() - told.timestamp()
    except (AppError, ValueError):
        pass


def _compared(name: str, difference: float) -> Result:
    if abs(difference) <= _DOUBTFUL_SECONDS:
        return ok(f"as {name}'s")
    found = f"this machine's is {abs(difference):.0f} s {'ahead of' if difference > 0 else 'behind'} that of {name}"
    mend = "set the clocks by NTP: deadlines, signatures and prices are told by them"
    return failed(found, mend) if abs(difference) > _WRONG_SECONDS else warning(found, mend)


async def check_proxies(place: Place) -> Result:
    """Whether the proxies and certificates of the settings are there, and not in the way."""
    results = [*_certificates(place), *[result async for result in _proxies(place)]]
    return worst(*results) if results else ok("the settings name no proxy and no certificates")


def _certificates(place: Place) -> Iterator[Result]:
    # That they can be read was checked when the settings were.
    for path in place.settings.own_authorities:
        yield ok(f"{path} can be read")
    if of_postgres := os.environ.get("PGSSLROOTCERT"):
        try:
            ssl.create_default_context(cafile=of_postgres)
            yield ok("PGSSLROOTCERT can be read")
        except OSError as error:  # ssl.SSLError is one
            reason = error.strerror or "it holds no certificates"
            yield failed(f"PGSSLROOTCERT names a file that cannot be used: {reason}", "correct it: certificates in PEM")


async def _proxies(place: Place) -> AsyncIterator[Result]:
    settings = place.settings
    for name, url in (
        ("HTTP_PROXY", settings.http_proxy),
        ("HTTPS_PROXY", settings.https_proxy),
        ("ALL_PROXY", settings.all_proxy),
    ):
        if url.get_secret_value():
            yield await _reached(name, url.get_secret_value())
    for asked in filter(None, (settings.llm_base_url, settings.s3_endpoint_url)):
        if place.outgoing.proxy_for(asked) and await is_near(asked):
            found = f"{http_address_of(asked)} is in a private network, and is reached through the proxy"
            yield warning(found, f"add {urlsplit(asked).hostname} to NO_PROXY")


async def _reached(name: str, url: str) -> Result:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(parts.hostname, port)
        writer.close()
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        return failed(
            f"{name} names a proxy that cannot be reached: {type(error).__name__}", f"correct or unset {name}"
        )
    return ok(f"{name} leads to a proxy at {parts.hostname}:{port}")


async def check_files(place: Place) -> Result:
    """Whether other users of this machine can read what is private."""
    private = [Path(".env"), *([place.settings.local_storage_dir] if place.settings.storage == "local" else [])]
    open_ones = [path for path in private if path.exists() and _others_may(path)]
    if not open_ones:
        return ok("no other user may read .env or the files")
    return worst(*(_readable(path) for path in open_ones))


def _readable(path: Path) -> Result:
    return warning(f"other users may read {path}", f"chmod {'700' if path.is_dir() else '600'} {path}")


def _others_may(path: Path) -> bool:
    mode = stat.S_IMODE(path.stat().st_mode)
    return bool(mode & (stat.S_IRWXO if path.is_dir() else stat.S_IRWXO | stat.S_IRGRP))
