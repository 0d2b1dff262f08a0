"""DATABASE_URL as an operator writes it is understood by SQLAlchemy, Alembic and the listener's own connection."""

import asyncio
import logging
from collections.abc import Iterator
from logging.handlers import QueueHandler
from urllib.parse import urlsplit

import pytest

from app.core.notifications import listening
from app.core.settings import Settings
from tests.cli.conftest import Junis
from tests.waiting import PATIENCE

USES = [("orgs", "list"), ("migrate",), ("migrate", "--check")]


@pytest.fixture
def logged() -> Iterator[asyncio.Queue[logging.LogRecord]]:
    """Captures what the listener logs."""
    records: asyncio.Queue[logging.LogRecord] = asyncio.Queue()
    handler = QueueHandler(records)
    log = logging.getLogger("app.core.notifications")
    log.addHandler(handler)
    yield records
    log.removeHandler(handler)


def settings(url: str) -> Settings:
    return Settings.model_validate({"database_url": url})


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://app:geheim@db:port/junis", "the port is not a number from 1 to 65535"),
        ("postgresql://app:geheim@db:0/junis", "the port is not a number from 1 to 65535"),
        ("postgresql://app:geheim@db:65536/junis", "the port is not a number from 1 to 65535"),
        ("postgresql://app:geheim/rest@db:5432/junis", "in a password, write / as %2F"),
        ("postgresql://app:geheim[rest]@db:5432/junis", "the port is not a number from 1 to 65535"),
        ("postgresql://app:geheim@db/junis?sslmode=always", "sslmode must be one of: disable, allow, prefer, require"),
        ("postgresql://app:geheim@db/junis?sslmode=", "sslmode must be one of"),
        ("postgresql://app:geheim@db/junis?sslmode", "after the ?, parameters must be written as name=value"),
        ("postgresql://app:geheim@one:5432,two:port/junis", "the port is not a number from 1 to 65535"),
        ("postgresql://app:geheim@db/junis?channel_binding=geheim", "channel_binding must be one of: disable, prefer"),
        ("postgresql://app:geheim@db/junis?target_session_attrs=standby", "target_session_attrs must be one of: any"),
        ("postgresql://app:geheim@db/junis?connect_timeout=geheim", "connect_timeout must be a number of seconds"),
        ("postgresql://app:geheim@db/junis?sslmode=require&sslrootcert=ca.pem", "sslrootcert names no file"),
        ("postgresql://app:geheim@db/junis?colour=geheim", "the parameter colour is not supported; supported: host"),
        ("postgresql://app:geheim@db/junis?pgbouncer=true", "set DATABASE_POOLER=transaction and DATABASE_DIRECT_URL"),
        ("postgresql://app:geheim@db/junis?schema=geheim", "write options=-csearch_path%3DNAME"),
        ("postgresql://app:geheim@db/junis?host=other", "the host is given both before the path and as a parameter"),
    ],
)
def test_errors_about_the_url_do_not_show_its_secrets(
    junis: Junis, monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    refused = junis("orgs", "list")

    assert (refused.status, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert refused.stderr.startswith("error: DATABASE_URL: ")
    assert reason in refused.stderr
    assert "geheim" not in refused.stderr


@pytest.mark.parametrize("command", USES)
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_a_server_without_tls_is_accepted_if_tls_is_not_required(
    database_url: str, junis: Junis, monkeypatch: pytest.MonkeyPatch, mode: str, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{database_url}?sslmode={mode}")

    assert junis(*command).status == 0


@pytest.mark.parametrize("command", USES)
def test_a_server_without_tls_is_refused_if_tls_is_required(
    database_url: str, junis: Junis, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{database_url}?sslmode=require")

    refused = junis(*command)

    assert (refused.status, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert refused.stderr.startswith("error: Postgres cannot be reached: ")
    assert "rejected SSL upgrade" in refused.stderr


@pytest.mark.parametrize("command", USES)
def test_the_host_may_be_a_parameter(
    database_url: str, junis: Junis, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    url = urlsplit(database_url)
    user, _, address = url.netloc.rpartition("@")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{user}@{url.path}?host={address}")

    assert junis(*command).status == 0


async def test_the_listener_connects_without_tls_if_tls_is_not_required(database_url: str) -> None:
    heard = asyncio.Event()

    async with listening(settings(f"{database_url}?sslmode=prefer").direct_database, {"junis_callers": heard.set}):
        await asyncio.wait_for(heard.wait(), PATIENCE)


async def test_the_listener_does_not_connect_without_tls_if_tls_is_required(
    database_url: str, logged: asyncio.Queue[logging.LogRecord]
) -> None:
    heard = asyncio.Event()

    async with listening(settings(f"{database_url}?sslmode=require").direct_database, {"junis_callers": heard.set}):
        lost = await asyncio.wait_for(logged.get(), PATIENCE)

    assert not heard.is_set()
    assert "rejected SSL upgrade" in str(lost.__dict__["reason"])
