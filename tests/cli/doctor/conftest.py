from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.servers import EmbeddedServers
from tests.chat_server import ChatServer, chat_server
from tests.cli.conftest import Junis
from tests.cli.databases import execute
from tests.cli.doctor.place import Patient, set_well
from tests.vendors_simulator import VendorsSimulator


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server(key="the-right-key-of-the-tests") as running:
        yield running


@pytest.fixture
def patient(
    database_url: str,
    embedded: EmbeddedServers,
    vendors: VendorsSimulator,
    server: ChatServer,
    junis: Junis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Patient:
    set_well(
        monkeypatch,
        tmp_path,
        chat_url=server.base_url,
        redis_url=embedded.redis_url,
        replicate_url=vendors.replicate_url,
    )
    execute(
        database_url,
        "INSERT INTO models (name, kind, description, max_output_tokens, is_active)"
        " VALUES ('llama', 'chat', '', 9, true)",
    )
    execute(
        database_url,
        "INSERT INTO prices (model_name, effective_at, per_call, per_second, per_output, per_million_prompt_tokens,"
        " per_million_completion_tokens) VALUES ('llama', now() - interval '1 day', 0, 0, 0, 0.5, 2)",
    )
    return Patient(junis, monkeypatch)
