import secrets
from decimal import Decimal

import pytest

from app.audit.actor import COMMAND_LINE
from app.catalog import toml as files
from app.catalog.errors import CatalogFileError
from app.catalog.service import import_catalog
from app.core.database import Database

MODEL = '[[models]]\nname = "{name}"\nkind = "generation"\nprice = {{ {price} }}\n'


@pytest.fixture
def name() -> str:
    return f"owner/{secrets.token_hex(6)}"


async def imported(database: Database, text: str) -> int:
    async with database.transaction() as tx:
        return (await import_catalog(tx, files.read_catalog(text), actor=COMMAND_LINE)).new_prices


async def test_a_price_is_added_once(database: Database, name: str) -> None:
    text = MODEL.format(name=name, price="per_call = 0.1, ceiling = 1")

    assert await imported(database, text) == 1
    assert await imported(database, text) == 0


async def test_a_different_price_is_added_and_the_old_one_is_kept(database: Database, name: str) -> None:
    await imported(database, MODEL.format(name=name, price="per_call = 0.1, ceiling = 1"))

    assert await imported(database, MODEL.format(name=name, price="per_call = 0.2, ceiling = 1")) == 1

    async with database.transaction() as tx:
        prices = await tx.fetch("SELECT per_call FROM prices WHERE model_name = $1 ORDER BY id", name)
    assert [price["per_call"] for price in prices] == [Decimal("0.1"), Decimal("0.2")]


async def test_a_price_is_never_edited(database: Database, name: str) -> None:
    price = "per_call = {amount}, ceiling = 1, effective_at = 2026-01-01T00:00:00Z"
    await imported(database, MODEL.format(name=name, price=price.format(amount=1)))

    with pytest.raises(CatalogFileError, match="another price is effective"):
        await imported(database, MODEL.format(name=name, price=price.format(amount=2)))


def test_numbers_are_read_as_exact_decimals() -> None:
    catalog = files.read_catalog(MODEL.format(name="owner/name", price="per_call = 0.100001, ceiling = 0.3"))

    assert catalog.models[0].price.per_call == Decimal("0.100001")
    assert catalog.models[0].price.ceiling == Decimal("0.3")


def test_the_starter_catalog_can_be_read() -> None:
    catalog = files.read_catalog(files.STARTER_CATALOG.read_text())

    assert {entry.kind for entry in catalog.models} == {"chat", "generation"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("models = [", "Not a TOML file"),
        ("", "models"),
        (MODEL.format(name="o/n", price="per_call = 1"), "needs price.ceiling"),
        (MODEL.format(name="o/n", price="ceiling = -1"), "models.0.price.ceiling"),
        (MODEL.format(name="o/n", price="ceiling = 0.0000001"), "models.0.price.ceiling"),
        (MODEL.format(name="o/n", price="ceiling = nan"), "models.0.price.ceiling"),
        (MODEL.format(name="o/n", price="ceiling = inf"), "models.0.price.ceiling"),
        (MODEL.format(name="o/n", price="ceiling = 1, per_pixel = 1"), "models.0.price.per_pixel"),
        (MODEL.format(name="", price="ceiling = 1"), "models.0.name"),
        (MODEL.format(name="o/n", price="ceiling = 1, effective_at = 2026-01-01T00:00:00"), "effective_at"),
        ('[[models]]\nname = "m"\nkind = "chat"\nprice = {}\n', "needs max_output_tokens"),
        ('[[models]]\nname = "m"\nkind = "chat"\ncontext_tokens = 0\nprice = {}\n', "models.0.context_tokens"),
        ('[[models]]\nname = "m"\nkind = "song"\nprice = {}\n', "models.0.kind"),
    ],
)
def test_a_bad_file_is_refused_with_the_location_of_the_error(text: str, reason: str) -> None:
    with pytest.raises(CatalogFileError, match=reason):
        files.read_catalog(text)


def test_an_embedding_model_has_a_price_of_prompts_alone() -> None:
    text = '[[models]]\nname = "embedder"\nkind = "embedding"\nprice = {{ {price} }}\n'

    catalog = files.read_catalog(text.format(price="per_million_prompt_tokens = 0.02"))
    with pytest.raises(CatalogFileError, match="has no completion"):
        files.read_catalog(text.format(price="per_million_prompt_tokens = 1, per_million_completion_tokens = 1"))

    assert catalog.models[0].kind == "embedding"
