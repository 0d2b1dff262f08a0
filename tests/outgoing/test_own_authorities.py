"""An operator's own certificate authority is trusted in everything that this server asks, beside the system's."""

import ssl

import pytest

from app.core.outgoing import Outgoing
from app.core.proxies import Proxies
from app.core.trust import tls_context
from tests.outgoing.conftest import OwnAuthority, Server
from tests.outgoing.corporate_proxy import tls_front
from tests.outgoing.ways import FAILURES


async def test_a_server_with_a_certificate_of_the_own_authority_is_trusted(
    server: Server, authority: OwnAuthority
) -> None:
    async with tls_front(server.port, authority.server) as port:
        await server.ask(f"https://localhost:{port}", Outgoing(Proxies({}), (authority.file,)))


async def test_without_the_authority_it_is_not(server: Server, authority: OwnAuthority) -> None:
    async with tls_front(server.port, authority.server) as port:
        with pytest.raises(FAILURES):
            await server.ask(f"https://localhost:{port}", Outgoing(Proxies({})))


async def test_a_certificate_for_another_name_is_not_trusted(server: Server, authority: OwnAuthority) -> None:
    async with tls_front(server.port, authority.stranger) as port:
        with pytest.raises(FAILURES):
            await server.ask(f"https://localhost:{port}", Outgoing(Proxies({}), (authority.file,)))


def test_the_authorities_of_the_system_are_still_trusted(authority: OwnAuthority) -> None:
    alone, with_own = tls_context(), tls_context([authority.file])

    assert alone.cert_store_stats()["x509_ca"] > 0
    assert with_own.cert_store_stats()["x509_ca"] == alone.cert_store_stats()["x509_ca"] + 1


def test_certificates_are_checked(authority: OwnAuthority) -> None:
    for context in (tls_context(), tls_context([authority.file])):
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
