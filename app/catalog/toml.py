"""The catalog as TOML: how operators import and export it."""

import json
import tomllib
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.catalog import repository
from app.catalog.errors import CatalogFileError
from app.catalog.models import Model, Price
from app.core.database import Transaction

STARTER_CATALOG = Path(__file__).with_name("starter.toml")

Amount = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=6, allow_inf_nan=False)]


class PriceEntry(BaseModel):
    """`[models.price]` of a catalog file, in credits; what is left out is 0."""

    model_config = ConfigDict(extra="forbid")

    effective_at: AwareDatetime | None = None
    per_call: Amount = Decimal(0)
    per_second: Amount = Decimal(0)
    per_output: Amount = Decimal(0)
    per_million_prompt_tokens: Amount = Decimal(0)
    per_million_completion_tokens: Amount = Decimal(0)
    ceiling: Amount | None = None


class ModelEntry(BaseModel):
    """`[[models]]` of a catalog file."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    kind: Literal["chat", "generation"]
    description: str = ""
    max_output_tokens: int | None = Field(default=None, ge=1)
    image_tokens: int | None = Field(default=None, ge=0)
    upstream: str | None = Field(default=None, min_length=1)
    upstream_model: str | None = Field(default=None, min_length=1)
    is_active: bool = True
    price: PriceEntry

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "chat" and self.max_output_tokens is None:
            raise ValueError("a chat model needs max_output_tokens: the longest answer that is paid for")
        if self.kind == "generation" and self.price.ceiling is None:
            raise ValueError("a generation model needs price.ceiling: the most that one generation may cost")
        return self


class CatalogFile(BaseModel):
    """A catalog in TOML."""

    model_config = ConfigDict(extra="forbid")

    models: list[ModelEntry]


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
