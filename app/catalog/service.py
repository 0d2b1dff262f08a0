from collections.abc import Sequence
from dataclasses import dataclass

from asyncpg import Record

from app.catalog import repository
from app.catalog.errors import ModelNotPricedError, UnknownModelError
from app.catalog.models import Model
from app.catalog.pricing import PriceTag
from app.core.database import Transaction


@dataclass(frozen=True)
class PricedModel:
    """A model that may run, with its price now.

    The rest is of chat models: the longest answer, the most that an image counts for, and the operator's upstream and
    the name there, None for defaults.
    """

    name: str
    price: PriceTag
    max_output_tokens: int
    image_tokens: int | None
    upstream: str | None
    upstream_model: str | None


async def get_chat_model(tx: Transaction, name: str) -> PricedModel:
    """The chat model of that name.

    Raises:
        ModelNotPricedError: the catalog has no such chat model, or no price for it.
    """
    found = await repository.find_models(tx, "chat", [name])
    if not found:
        raise ModelNotPricedError(f"The model {name} has no price in the catalog")
    return _priced(found[0])


async def get_generation_model(tx: Transaction, reference: str) -> PricedModel:
    """The model for `owner/name`, `owner/name:version` or a version; an entry for the very version comes first.

    Raises:
        UnknownModelError: the catalog has no such model.
        ModelNotPricedError: it has, but without a price.
    """
    names = [reference, reference.partition(":")[0]]
    found = {row["model_name"]: row for row in await repository.find_models(tx, "generation", names)}
    row = found.get(names[0]) or found.get(names[1])
    if row is None:
        raise UnknownModelError(f"Unknown model: {reference}")
    return _priced(row)


async def list_generation_models(tx: Transaction) -> Sequence[Model]:
    """The models that can be offered to an agent, by name."""
    return await repository.list_models(tx, "generation")


async def list_model_names(tx: Transaction) -> Sequence[str]:
    """The names of all models in the catalog, active or not."""
    return await repository.list_names(tx)


async def get_price(tx: Transaction, price_id: int) -> PriceTag:
    """The price that some work was accepted at.

    Raises:
        ModelNotPricedError: there is none of that id.
    """
    price = await repository.find_price(tx, price_id)
    if price is None:
        raise ModelNotPricedError
    return PriceTag(
        id=price.id,
        model_name=price.model_name,
        per_call=price.per_call,
        per_second=price.per_second,
        per_output=price.per_output,
        per_million_prompt_tokens=price.per_million_prompt_tokens,
        per_million_completion_tokens=price.per_million_completion_tokens,
        ceiling=price.ceiling,
    )


def _priced(row: Record) -> PricedModel:
    if row["id"] is None:
        raise ModelNotPricedError(f"The model {row['model_name']} has no price in the catalog")
    values = {key: row[key] for key in PriceTag.__dataclass_fields__}
    return PricedModel(
        name=row["model_name"],
        price=PriceTag(**values),
        max_output_tokens=row["max_output_tokens"] or 0,
        image_tokens=row["image_tokens"],
        upstream=row["upstream"],
        upstream_model=row["upstream_model"],
    )
