from collections.abc import Sequence
from dataclasses import dataclass

from app.catalog import repository
from app.catalog.errors import ModelNotPricedError, UnknownModelError
from app.catalog.models import Model, ModelKind
from app.catalog.pricing import PriceTag
from app.catalog.repository import ModelRow
from app.core.database import Transaction


@dataclass(frozen=True)
class PricedModel:
    """A model that may be called, with its price in force now.

    Attributes:
        name: its name in the catalog.
        price: what it costs.
        max_output_tokens: of a chat model, the longest answer that is paid for; 0 for generation models.
        image_tokens: of a chat model, the most tokens that an image of a prompt counts as; None for the default.
        upstream: of a chat model, the operator's upstream that has it; None for the default.
        upstream_model: of a chat model, its name at the upstream; None for the same name.
    """

    name: str
    price: PriceTag
    max_output_tokens: int
    image_tokens: int | None
    upstream: str | None
    upstream_model: str | None


async def get_chat_model(tx: Transaction, name: str) -> PricedModel:
    """The chat model with that name.

    Raises:
        ModelNotPricedError: the catalog has no such chat model, or no price for it.
    """
    found = await repository.find_models(tx, ModelKind.CHAT, [name])
    if not found:
        raise ModelNotPricedError(f"The model {name} has no price in the catalog")
    return _priced(found[0])


async def is_chat_model_priced(tx: Transaction, name: str) -> bool:
    """Whether `get_chat_model` finds a chat model with that name."""
    return any(row.price is not None for row in await repository.find_models(tx, ModelKind.CHAT, [name]))


async def get_generation_model(tx: Transaction, reference: str) -> PricedModel:
    """The model for `owner/name`, `owner/name:version` or a version. An entry for exactly that version comes first.

    Raises:
        UnknownModelError: the catalog has no such model.
        ModelNotPricedError: the catalog has the model, but no price for it.
    """
    names = [reference, reference.partition(":")[0]]
    found = {row.name: row for row in await repository.find_models(tx, ModelKind.GENERATION, names)}
    row = found.get(names[0]) or found.get(names[1])
    if row is None:
        raise UnknownModelError(f"Unknown model: {reference}")
    return _priced(row)


async def list_generation_models(tx: Transaction) -> Sequence[Model]:
    """The models that can be offered to an agent, by name."""
    return await repository.list_models(tx, ModelKind.GENERATION)


async def list_model_names(tx: Transaction) -> Sequence[str]:
    """The names of all models in the catalog, active or not."""
    return await repository.list_names(tx)


async def get_price(tx: Transaction, price_id: int) -> PriceTag:
    """The price at which some work was accepted.

    Raises:
        ModelNotPricedError: there is no price with that id.
    """
    price = await repository.find_price(tx, price_id)
    if price is None:
        raise ModelNotPricedError
    return price


def _priced(row: ModelRow) -> PricedModel:
    if row.price is None:
        raise ModelNotPricedError(f"The model {row.name} has no price in the catalog")
    return PricedModel(
        name=row.name,
        price=row.price,
        max_output_tokens=row.max_output_tokens or 0,
        image_tokens=row.image_tokens,
        upstream=row.upstream,
        upstream_model=row.upstream_model,
    )
