"""Runs checks: all at once, each with a limit of its own, and none disturbed by another."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import aiohttp
from pydantic import SecretStr

from app.cli.doctor.results import Result, failed, not_checked
from app.core.outgoing import Outgoing
from app.core.settings import Settings
from app.resources import Resources

Asked: TypeAlias = AbstractAsyncContextManager[aiohttp.ClientResponse]

_SHORTEST_SECRET = 6


class NotOpenedError(Exception):
    """With these settings no process could start, so that nothing can be asked."""


@dataclass(frozen=True)
class Place:
    """What the checks look at.

    Attributes:
        settings: what is checked.
        opened: what a process would talk to with these settings; or why that cannot be opened.
        http: sends requests to other addresses.
        outgoing: through which proxies, and with whose certificates.
        calls_model: whether a chat model may be called, which costs a little.
    """

    settings: Settings
    opened: Resources | Exception
    http: aiohttp.ClientSession
    outgoing: Outgoing
    calls_model: bool

    @property
    def resources(self) -> Resources:
        """What a process would talk to.

        Raises:
            NotOpenedError: it cannot be opened.
        """
        if isinstance(self.opened, Exception):
            raise NotOpenedError from self.opened
        return self.opened

    def ask(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> Asked:
        """A request of another address, through the operator's proxy for it."""
        through = self.outgoing.options_for(url)
        through["headers"] |= headers or {}
        return self.http.request(method, url, **through, **options)


@dataclass(frozen=True)
class Check:
    """One line of the report. `seconds` is how long it may take."""

    name: str
    run: Callable[[Place], Awaitable[Result]]
    seconds: float = 10.0


async def run_checks(place: Place, checks: Sequence[Check]) -> Sequence[Result]:
    """The results of the checks, in their order, without any secret of the settings."""
    results = await asyncio.gather(*(_run(check, place) for check in checks))
    secrets = list(secrets_of(place.settings))
    return [Result(each.state, redacted(each.found, secrets), redacted(each.mend, secrets)) for each in results]


def secrets_of(settings: Settings) -> Iterable[str]:
    """What must never be printed: the secrets of the settings, and the passwords in their URLs."""
    for name, value in settings:
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, str) and name.endswith("_url") and (password := urlsplit(value).password):
            yield from (password, unquote(password))
    yield from (upstream.api_key.get_secret_value() for upstream in settings.llm_upstreams.values())


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets. A very short one may be an ordinary word, and stays."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[redacted]")
    return " ".join(text.split())


async def _run(check: Check, place: Place) -> Result:
    try:
        async with asyncio.timeout(check.seconds):
            return await check.run(place)
    except NotOpenedError:
        return not_checked("no process can start with these settings")
    except TimeoutError:
        return failed(f"no result within {check.seconds:.0f} s", "see whether what is checked here responds at all")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown, and the other checks go on
        return failed(f"the check ended with {type(error).__name__}: {error}", "see what the error says")
