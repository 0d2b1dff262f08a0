"""Everything that this server asks goes through the operator's proxy, whatever library asks it."""

import logging
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest

from app.chat_models.client import open_chat_model_client
from app.core.outgoing import Outgoing
from app.core.proxies import Proxies
from tests.chat_models.raw_server import always, raw_server, response
from tests.outgoing.conftest import OwnAuthority, Server
from tests.outgoing.corporate_proxy import CorporateProxy, corporate_proxy, tls_front
from tests.outgoing.ways import FAILURES, call_model, download
from tests.vendors_simulator import VendorsSimulator
from worker.transfer.downloads import DownloadRefusedError

USER, PASSWORD = "ada", "p@ss:w/rd"
NAMED = "a.company.test"


def through(proxy: CorporateProxy, authority: OwnAuthority, *, user: str = "") -> Outgoing:
    """The settings of an operator who has only this proxy. `user` may have a password, both escaped."""
    url = proxy.url.replace("://", f"://{user}@") if user else proxy.url
    return Outgoing(Proxies.of(url, url, "", ""), (authority.file,))


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


async def test_a_server_on_this_machine_is_asked_directly(server: Server, authority: OwnAuthority) -> None:
    async with corporate_proxy() as proxy:
        await server.ask(f"http://127.0.0.1:{server.port}", through(proxy, authority))

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


async def test_a_connection_through_the_proxy_is_used_again(vendors: VendorsSimulator, authority: OwnAuthority) -> None:
    async with (
        corporate_proxy(credentials=f"{USER}:{PASSWORD}") as proxy,
        tls_front(urlsplit(vendors.url).port or 0, authority.server) as port,
    ):
        client = open_chat_model_client(through(proxy, authority, user="ada:p%40ss%3Aw%2Frd"))
        for _ in range(2):
            await call_model(client, f"https://{NAMED}:{port}")
        await client.close()

    assert len(proxy.asked) == 1


@pytest.mark.parametrize("location", ["http://169.254.169.254/a", "http://localhost:9/a", "https://evil.test/a"])
async def test_the_proxy_is_asked_for_no_file_of_a_host_that_is_not_allowed(
    authority: OwnAuthority, location: str
) -> None:
    """The proxy could reach what this server cannot. Redirects are followed here, and each is looked at."""
    sent = response(b"", status="302 Found", headers=b"Location: %b\r\n" % location.encode())
    async with corporate_proxy() as proxy, raw_server(always(sent, is_closed=True)) as host:
        origin = f"http://{NAMED}:{urlsplit(host.url).port}"
        for url in (f"{origin}/a.png", location):
            with pytest.raises(DownloadRefusedError, match="not allowed"):
                await download(origin, through(proxy, authority), url=url)

    assert proxy.asked == [f"GET {origin}/a.png"]


async def test_an_environment_that_nobody_has_read_changes_nothing(
    server: Server, authority: OwnAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries read it, too; the settings are the one place that decides."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    # As containers have them whose operator has set none.
    for name in ("CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "")

    await server.ask(f"http://127.0.0.1:{server.port}", Outgoing(Proxies({})))


def _is_ours(record: logging.LogRecord) -> bool:
    # Libraries write their own at DEBUG, a level at which no program of ours logs them.
    return record.levelno > logging.DEBUG


def _causes(error: BaseException) -> list[str]:
    cause = error.__cause__ or error.__context__
    return [] if cause is None else [str(cause), *_causes(cause)]
