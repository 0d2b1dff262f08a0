"""The catalog as TOML, the form in which operators import and export it."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from decimal import Decimal
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass

from app.catalog.errors import CatalogFileError
from app.catalog.image_inputs import EditInputs, ImageInputs
from app.catalog.models import Model, ModelKind, Price
from app.catalog.pricing import Amount, UnitPrices
from app.catalog.speech_inputs import SpeechInputs
from app.core.toml_files import read_toml

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
    file_tokens: int | None = Field(default=None, ge=0)
    context_tokens: int | None = Field(default=None, ge=1)
    upstream: str | None = Field(default=None, min_length=1)
    upstream_model: str | None = Field(default=None, min_length=1)
    images: ImageInputs | None = None
    edits: EditInputs | None = None
    speech: SpeechInputs | None = None
    is_active: bool = True
    price: PriceEntry

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind is ModelKind.CHAT and self.max_output_tokens is None:
            raise ValueError("a chat model needs max_output_tokens: the longest answer that is paid for")
        if self.kind is ModelKind.GENERATION and self.price.ceiling is None:
            raise ValueError("a generation model needs price.ceiling: the most that one generation may cost")
        if self.kind is not ModelKind.GENERATION and (self.images or self.edits or self.speech):
            raise ValueError("only a generation model has images, edits or speech")
        if self.kind is ModelKind.EMBEDDING and self.price.per_million_completion_tokens:
            raise ValueError("an embedding model has no completion: its price is per_million_prompt_tokens")
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
    return read_toml(text, CatalogFile, refusal=CatalogFileError, parse_float=Decimal)


def read_starter_catalog() -> CatalogFile:
    """The catalog that comes with the server."""
    return read_catalog(STARTER_CATALOG.read_text(encoding="utf-8"))


def write_catalog(priced: Iterable[tuple[Model, Price]]) -> str:
    """Models with their prices, as a catalog file that `read_catalog` reads."""
    lines: list[str] = []
    for model, price in priced:
        lines += _model_lines(model)
        lines += _price_lines(price)
        lines.append("")
    return "\n".join(lines) or "models = []\n"


def _model_lines(model: Model) -> Iterator[str]:
    yield "[[models]]"
    yield f"name = {_quoted(model.name)}"
    yield f'kind = "{model.kind}"'
    for name in ("description", "max_output_tokens"):
        if value := getattr(model, name):
            yield f"{name} = {_inline(value)}"
    for name in ("image_tokens", "file_tokens", "context_tokens"):
        if (value := getattr(model, name)) is not None:
            yield f"{name} = {_inline(value)}"
    for name in ("upstream", "upstream_model", "images", "edits", "speech"):
        if value := getattr(model, name):
            yield f"{name} = {_inline(value)}"


def _price_lines(price: Price) -> Iterator[str]:
    yield "[models.price]"
    yield f"effective_at = {price.effective_at.isoformat()}"
    for unit, amount in asdict(price.unit_prices).items():
        yield f"{unit} = {amount:f}"
    if price.ceiling is not None:
        yield f"ceiling = {price.ceiling:f}"


def _inline(value: object) -> str:
    """A table, and what is in it, on one line. TOML has no null: what is None is left out."""
    if isinstance(value, dict):
        known = {name: each for name, each in value.items() if each is not None}
        return f"{{ {', '.join(f'{_quoted(name)} = {_inline(each)}' for name, each in known.items())} }}"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's too, with two exceptions: TOML has no surrogate pairs, and DEL must be escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
