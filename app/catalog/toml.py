"""The catalog as TOML: how operators import and export it."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass

from app.audit.actor import Actor
from app.audit.service import log_change
from app.catalog import repository
from app.catalog.errors import CatalogFileError
from app.catalog.models import Model, ModelKind, Price
from app.catalog.pricing import Amount, UnitPrices
from app.core.database import Transaction

STARTER_CATALOG = Path(__file__).with_name("starter.toml")


@pydantic_dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PriceEntry(UnitPrices):
    """`[models.price]` of a catalog file, in credits per unit. A unit that is left out costs nothing."""

    effective_at: AwareDatetime | None = None
    ceiling: Amount | None = None

    @property
    def unit_prices(self) -> UnitPrices:
        """The price without its ceiling and the moment at which it becomes effective."""
        return UnitPrices(**{field.name: getattr(self, field.name) for field in fields(UnitPrices)})


class ModelEntry(BaseModel):
    """`[[models]]` of a catalog file."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    kind: ModelKind
    description: str = ""
    max_output_tokens: int | None = Field(default=None, ge=1)
    image_tokens: int | None = Field(default=None, ge=0)
    upstream: str | None = Field(default=None, min_length=1)
    upstream_model: str | None = Field(default=None, min_length=1)
    is_active: bool = True
    price: PriceEntry

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind is ModelKind.CHAT and self.max_output_tokens is None:
            raise ValueError("a chat model needs max_output_tokens: the longest answer that is paid for")
        if self.kind is ModelKind.GENERATION and self.price.ceiling is None:
            raise ValueError("a generation model needs price.ceiling: the most that one generation may cost")
        return self


class CatalogFile(BaseModel):
    """A catalog in TOML."""

    model_config = ConfigDict(extra="forbid")

    models: list[ModelEntry]


def read_catalog(text: str) -> CatalogFile:
    """Parse and check a catalog file. Its numbers are read as exact decimals.

    Raises:
        CatalogFileError: says what is wrong, and where.
    """
    try:
        return CatalogFile.model_validate(tomllib.loads(text, parse_float=Decimal))
    except tomllib.TOMLDecodeError as error:
        raise CatalogFileError(f"Not a TOML file: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(str(part) for part in first["loc"])
        raise CatalogFileError(f"{location}: {first['msg'].removeprefix('Value error, ')}") from error


async def import_catalog(tx: Transaction, catalog: CatalogFile, *, actor: Actor) -> int:
    """Add the models and prices of the file, and change those that differ. What it does not name stays as it is.

    Returns:
        How many prices are new.

    Raises:
        CatalogFileError: a model has another price that is effective from the same moment.
    """
    # Prices are looked up by Postgres's clock. By the same clock, a new price is in force in this transaction already.
    now = await repository.current_moment(tx)
    new_prices = 0
    for entry in catalog.models:
        await _save_model(tx, entry)
        new_prices += await _save_price(tx, entry, now)
        log_change(tx, actor, "model_imported", object_id=entry.name)
    return new_prices


async def import_missing_models(tx: Transaction, catalog: CatalogFile, *, actor: Actor) -> None:
    """Import only the models that the catalog does not have, so that no price of the operator's is changed."""
    known = set(await repository.list_names(tx))
    missing = [entry for entry in catalog.models if entry.name not in known]
    await import_catalog(tx, CatalogFile(models=missing), actor=actor)


async def export_catalog(tx: Transaction) -> str:
    """The active models with their prices in force now, as a catalog file that `read_catalog` reads."""
    lines: list[str] = []
    for model, price in await repository.list_priced(tx):
        lines += _model_lines(model)
        lines += _price_lines(price)
        lines.append("")
    return "\n".join(lines) or "models = []\n"


def _model_lines(model: Model) -> Iterator[str]:
    yield "[[models]]"
    yield f"name = {_quoted(model.name)}"
    yield f'kind = "{model.kind}"'
    if model.description:
        yield f"description = {_quoted(model.description)}"
    if model.max_output_tokens:
        yield f"max_output_tokens = {model.max_output_tokens}"
    if model.image_tokens is not None:
        yield f"image_tokens = {model.image_tokens}"
    if model.upstream:
        yield f"upstream = {_quoted(model.upstream)}"
    if model.upstream_model:
        yield f"upstream_model = {_quoted(model.upstream_model)}"


def _price_lines(price: Price) -> Iterator[str]:
    yield "[models.price]"
    yield f"effective_at = {price.effective_at.isoformat()}"
    for unit, amount in asdict(price.unit_prices).items():
        yield f"{unit} = {amount:f}"
    if price.ceiling is not None:
        yield f"ceiling = {price.ceiling:f}"


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's too, with two exceptions: TOML has no surrogate pairs, and DEL must be escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


async def _save_model(tx: Transaction, entry: ModelEntry) -> None:
    # A model that was switched off stays off unless the file says otherwise.
    left_out = {"is_active"} - entry.model_fields_set
    values = entry.model_dump(mode="json", exclude={"price"} | left_out)
    await tx.session.merge(Model(**values))
    await tx.session.flush()


async def _save_price(tx: Transaction, entry: ModelEntry, now: datetime) -> bool:
    price, effective_at = entry.price, entry.price.effective_at or now
    current = await repository.find_price_at(tx, entry.name, effective_at)
    if current is not None:
        if (current.unit_prices, current.ceiling) == (price.unit_prices, price.ceiling):
            return False
        if current.effective_at == effective_at:
            # Work is settled at the price at which it was accepted, so prices are added and never edited.
            raise CatalogFileError(f"{entry.name}: another price is effective from {effective_at.isoformat()}")
    tx.session.add(
        Price(model_name=entry.name, effective_at=effective_at, unit_prices=price.unit_prices, ceiling=price.ceiling)
    )
    return True
