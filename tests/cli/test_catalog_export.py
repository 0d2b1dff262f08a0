from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.audit.actor import COMMAND_LINE
from app.catalog.repository import list_names
from app.catalog.service import get_generation_model, import_catalog
from app.catalog.toml import STARTER_CATALOG, read_catalog
from app.cli.transaction import in_transaction
from app.core.database import Transaction
from tests.cli.conftest import Junis
from tests.cli.databases import execute
from tests.cli.outcome import run_process

CATALOG = r"""
[[models]]
name = "acme/chat"
kind = "chat"
max_output_tokens = 4096
image_tokens = 0
file_tokens = 20000
context_tokens = 8192
upstream = "local"
upstream_model = "llama"
price = { per_million_prompt_tokens = 0.15, effective_at = 2026-01-02T03:04:05.678901+02:00 }

[[models]]
name = "acme/painter"
kind = "generation"
description = "\"Öl\" \\ \U0001F3A8\u007F\u0085\u2028\nsecond line\u001B"
price = { per_call = 0.000001, per_second = 99999999999.999999, per_output = 1, ceiling = 0 }

[[models]]
name = "acme/retired"
kind = "generation"
is_active = false
price = { ceiling = 1 }
"""


@pytest.fixture
def imported(database_url: str, junis: Junis, tmp_path: Path) -> None:
    """A database with that catalog imported."""
    (tmp_path / "catalog.toml").write_text(CATALOG, encoding="utf-8")
    assert junis("catalog", "import", "catalog.toml").status == 0


def active_models(text: str) -> list[dict[str, Any]]:
    """The active models of a catalog file, without the moments at which their prices begin."""
    models = [entry for entry in read_catalog(text).models if entry.is_active]
    return [entry.model_dump(exclude={"price": {"effective_at"}}) for entry in models]


@pytest.mark.usefixtures("imported")
def test_the_export_equals_what_was_imported() -> None:
    exported = run_process("catalog", "export").stdout

    assert active_models(exported) == active_models(CATALOG)
    chat = read_catalog(exported).models[0]
    assert chat.price.effective_at == datetime(2026, 1, 2, 1, 4, 5, 678901, tzinfo=UTC)


@pytest.mark.usefixtures("imported")
def test_importing_an_export_again_adds_no_price(junis: Junis) -> None:
    exported = run_process("catalog", "export", "exported.toml")

    again = junis("catalog", "import", "exported.toml")

    assert (exported.status, exported.stdout) == (0, "")
    assert (again.status, again.stderr) == (0, "Imported 2 models; new prices: 0\n")


@pytest.mark.usefixtures("imported")
def test_an_export_can_be_imported_into_an_empty_catalog(database_url: str, junis: Junis, tmp_path: Path) -> None:
    run_process("catalog", "export", "exported.toml")
    for table in ("prices", "models"):
        execute(database_url, f"DELETE FROM {table}")

    assert junis("catalog", "import", "exported.toml").stderr == "Imported 2 models; new prices: 2\n"
    assert run_process("catalog", "export").stdout == (tmp_path / "exported.toml").read_text(encoding="utf-8")


def test_the_starter_catalog_survives_a_pipe_from_export_to_import(database_url: str, junis: Junis) -> None:
    junis("catalog", "import")

    exported = run_process("catalog", "export", "-")
    again = run_process("catalog", "import", "-", stdin=exported.stdout.encode())

    count = len(read_catalog(STARTER_CATALOG.read_text()).models)
    assert (exported.status, exported.stderr) == (0, "")
    assert again.stderr == f"Imported {count} models; new prices: 0\n"


def test_an_empty_catalog_can_be_exported(database_url: str, junis: Junis) -> None:
    run_process("catalog", "export", "exported.toml")

    assert junis("catalog", "import", "exported.toml").stderr == "Imported 0 models; new prices: 0\n"
    assert in_transaction(list_names) == []


def test_an_existing_file_is_not_overwritten_if_there_is_nothing_to_write(tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text(CATALOG, encoding="utf-8")

    refused = run_process("catalog", "export", "catalog.toml", DATABASE_URL="postgresql://127.0.0.1:1/junis")

    assert refused.status == 1
    assert (tmp_path / "catalog.toml").read_text(encoding="utf-8") == CATALOG


def test_the_error_names_a_file_that_cannot_be_written(database_url: str) -> None:
    refused = run_process("catalog", "export", "none/catalog.toml")

    assert refused.status == 1
    assert "'none/catalog.toml': No such file or directory" in refused.stderr


def test_a_price_is_in_force_within_the_transaction_that_adds_it(database_url: str) -> None:
    async def import_and_find(tx: Transaction) -> str:
        await import_catalog(tx, read_catalog(CATALOG), actor=COMMAND_LINE)
        return (await get_generation_model(tx, "acme/painter")).name

    assert in_transaction(import_and_find) == "acme/painter"
