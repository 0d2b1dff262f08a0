from pathlib import Path

import pytest

from app.catalog.repository import list_names
from app.catalog.service import get_generation_model
from app.catalog.toml import STARTER_CATALOG, read_catalog
from app.cli.transaction import in_transaction
from tests.cli.conftest import Junis
from tests.cli.outcome import run_process

CATALOG = """
[[models]]
name = "acme/painter"
kind = "generation"
price = { per_output = 0.1, ceiling = 0.4 }
"""


def test_without_a_file_the_starter_catalog_is_imported(database_url: str, junis: Junis) -> None:
    models = read_catalog(STARTER_CATALOG.read_text()).models

    imported = junis("catalog", "import")

    assert imported.status == 0
    assert f"Imported {len(models)} models; new prices: {len(models)}" in imported.stderr
    assert set(in_transaction(list_names)) == {model.name for model in models}


def test_only_a_price_that_differs_is_added(database_url: str, junis: Junis, tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(CATALOG)
    junis("catalog", "import", str(file))

    again = junis("catalog", "import", str(file))
    file.write_text(CATALOG.replace("0.1", "0.2"))
    changed = junis("catalog", "import", str(file))

    assert "Imported 1 models; new prices: 0" in again.stderr
    assert "Imported 1 models; new prices: 1" in changed.stderr
    assert str(in_transaction(get_generation_model, "acme/painter").price.per_output) == "0.200000"


def test_a_catalog_may_be_read_from_standard_input(database_url: str) -> None:
    assert run_process("catalog", "import", "-", stdin=CATALOG.encode()).status == 0
    assert in_transaction(list_names) == ["acme/painter"]


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"models = ", "Not a TOML file"),
        (CATALOG.encode() + CATALOG.replace("0.4", "-1").encode(), "models.1.price.ceiling"),
        (b"\xff", "is not UTF-8 text"),
    ],
)
def test_if_part_of_a_file_is_bad_nothing_of_it_is_imported(
    database_url: str, junis: Junis, tmp_path: Path, content: bytes, refusal: str
) -> None:
    (tmp_path / "catalog.toml").write_bytes(content)

    refused = junis("catalog", "import", "catalog.toml")

    assert refused.status == 1
    assert refused.stderr.startswith("error: ")
    assert refusal in refused.stderr
    assert in_transaction(list_names) == []


def test_the_error_names_a_file_that_does_not_exist(junis: Junis) -> None:
    refused = junis("catalog", "import", "none.toml")

    assert refused.status == 2
    assert "'none.toml': No such file or directory" in refused.stderr
