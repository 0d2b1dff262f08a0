"""Everything that this server asks goes through the operator's proxy, whatever library asks it."""

import logging
from contextlib import AsyncExitStack

import pytest

from app.core.outgoing import Outgoing
from app.core.proxies import Proxies
from tests.outgoing.conftest import OwnAuthority, Server
from tests.outgoing.corporate_proxy import CorporateProxy, corporate_proxy, tls_front
from tests.outgoing.ways import FAILURES

USER, PASSWORD = "ada", "p@ss:w/rd"
NAMED = "a.company.test"


def through(proxy: CorporateProxy, authority: OwnAuthority, *, user: str = "", no_proxy: str = "") -> Outgoing:
    """The settings of an operator who has only this proxy. `user` may have a password, both escaped."""
    url = proxy.url.replace("://", f"://{user}@") if user else proxy.url
    return Outgoing(Proxies.of(url, url, "", no_proxy), (authority.file,))


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_server_that_only_the_proxy_knows_is_reached(
    server: Server, authority: OwnAuthority, scheme: str
) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(corporate_proxy(credentials=f"{USER}:{PASSWORD}"))
        port = server.port
        if scheme == "https":
            port = await stack.enter_async_context(tls_front(port, authority.server))
        outgoing = through(proxy, authority, user="ada:p%40ss%3Aw%2Frd")

        await server.ask(f"{scheme}://{NAMED}:{port}", outgoing)

    named = f"{NAMED}:{port}"
    assert proxy.asked
    for asked in proxy.asked:
        assert asked == f"CONNECT {named}" if scheme == "https" else f" http://{named}/" in asked


async def test_a_proxy_may_be_asked_by_tls_itself(server: Server, authority: OwnAuthority) -> None:
    async with (
        corporate_proxy(tls=authority.server) as proxy,
        tls_front(server.port, authority.server) as port,
    ):
        await server.ask(f"https://{NAMED}:{port}", through(proxy, authority))

    assert proxy.asked[0] == f"CONNECT {NAMED}:{port}"


@pytest.mark.parametrize("no_proxy", ["", "*", "127.0.0.0/8,localhost"])
async def test_a_server_on_this_machine_is_asked_directly(
    server: Server, authority: OwnAuthority, no_proxy: str
) -> None:
    async with corporate_proxy() as proxy:
        await server.ask(f"http://127.0.0.1:{server.port}", through(proxy, authority, no_proxy=no_proxy))

    assert proxy.asked == []


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_proxys_password_is_not_told_if_it_is_wrong(
    server: Server, authority: OwnAuthority, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with corporate_proxy(credentials=f"{USER}:{PASSWORD}") as proxy:
        with pytest.raises(FAILURES) as failed:
            await server.ask(f"{scheme}://{NAMED}:{server.port}", through(proxy, authority, user="ada:geheim"))

    assert proxy.asked
    told = [str(failed.value), repr(failed.value), *_causes(failed.value)]
    logged = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records if _is_ours(record)]
    assert not [text for text in told + logged if "geheim" in text]
    assert "geheim" not in repr(through(proxy, authority, user="ada:geheim"))


async def test_an_environment_that_nobody_has_read_changes_nothing(
    server: Server, authority: OwnAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries read it, too; the settings are the one place that decides."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    await server.ask(f"http://127.0.0.1:{server.port}", Outgoing(Proxies({})))


def _is_ours(record: logging.LogRecord) -> bool:
    # Libraries write their own at DEBUG, a level at which no program of ours logs them.
    return record.levelno > logging.DEBUG


def _causes(error: BaseException) -> list[str]:
    cause = error.__cause__ or error.__context__
    return [] if cause is None else [str(cause), *_causes(cause)]
