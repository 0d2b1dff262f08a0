import json
import tomllib
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from pydantic import ValidationError

from app.catalog import repository
from app.catalog.errors import CatalogFileError
from app.catalog.models import Model, Price
from app.catalog.schemas import CatalogFile, ModelEntry, PriceEntry
from app.core.database import Transaction

STARTER_CATALOG = Path(__file__).with_name("starter.toml")
_AMOUNTS = tuple(name for name in PriceEntry.model_fields if name != "effective_at")


def read_catalog(text: str) -> CatalogFile:
    """Parse and check a catalog file. Its numbers are read as exact decimals.

    Raises:
        CatalogFileError: names the place and what is wrong with it.
    """
    try:
        return CatalogFile.model_validate(tomllib.loads(text, parse_float=Decimal))
    except tomllib.TOMLDecodeError as error:
        raise CatalogFileError(f"Not a TOML file: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CatalogFileError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from error


async def import_catalog(tx: Transaction, catalog: CatalogFile) -> int:
    """Add the models and prices of the file, and change what differs. What it does not name stays as it is.

    Returns:
        How many prices are new.
    """
    # Prices are found by Postgres's clock: by the same one, a new price is in force in this very transaction.
    now: datetime = await tx.fetchval("SELECT now()")
    new_prices = 0
    for entry in catalog.models:
        await _save_model(tx, entry)
        new_prices += await _save_price(tx, entry, now)
    return new_prices


async def export_catalog(tx: Transaction) -> str:
    """The active models with their prices of now, as a catalog file that `read_catalog` reads."""
    lines = []
    for model, price in await repository.list_priced(tx):
        lines += ["[[models]]", f"name = {_quoted(model.name)}", f'kind = "{model.kind}"']
        if model.description:
            lines.append(f"description = {_quoted(model.description)}")
        if model.max_output_tokens:
            lines.append(f"max_output_tokens = {model.max_output_tokens}")
        if model.image_tokens is not None:
            lines.append(f"image_tokens = {model.image_tokens}")
        if model.upstream:
            lines.append(f"upstream = {_quoted(model.upstream)}")
        if model.upstream_model:
            lines.append(f"upstream_model = {_quoted(model.upstream_model)}")
        lines += ["[models.price]", f"effective_at = {price.effective_at.isoformat()}"]
        amounts = {name: getattr(price, name) for name in _AMOUNTS}
        lines += [f"{name} = {amount:f}" for name, amount in amounts.items() if amount is not None]
        lines.append("")
    return "\n".join(lines) or "models = []\n"


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, too, but for two: TOML knows no surrogate pairs, and wants DEL escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


async def _save_model(tx: Transaction, entry: ModelEntry) -> None:
    # A model that was switched off stays so unless the file says otherwise.
    left_out = {"is_active"} - entry.model_fields_set
    values = entry.model_dump(exclude={"price"} | left_out)
    await tx.session.merge(Model(**values))
    await tx.session.flush()


async def _save_price(tx: Transaction, entry: ModelEntry, now: datetime) -> bool:
    effective_at = entry.price.effective_at or now
    amounts = entry.price.model_dump(include=set(_AMOUNTS))
    current = await repository.find_price_at(tx, entry.name, effective_at)
    if current is not None and all(getattr(current, name) == value for name, value in amounts.items()):
        return False
    if current is not None and current.effective_at == effective_at:
        # Work that was accepted at a price is settled at it: prices are added, never edited.
        raise CatalogFileError(f"{entry.name}: another price is effective from {effective_at.isoformat()}")
    tx.session.add(Price(model_name=entry.name, effective_at=effective_at, **amounts))
    return True
