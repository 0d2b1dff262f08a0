from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

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
