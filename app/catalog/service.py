from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

from app.audit.actor import Actor
from app.audit.service import log_change
from app.catalog import repository
from app.catalog.errors import CatalogFileError, ModelNotPricedError, UnknownModelError
from app.catalog.image_inputs import EditInputs, ImageInputs
from app.catalog.models import Model, ModelKind, Price
from app.catalog.pricing import PriceTag
from app.catalog.repository import ModelRow
from app.catalog.speech_inputs import SpeechInputs
from app.catalog.toml import CatalogFile, ModelEntry, PriceEntry, read_starter_catalog, write_catalog
from app.core.clock import moment_of
from app.core.database import Transaction
from app.core.errors import InvalidRequestError, NotFoundError

_Offer = TypeVar("_Offer", ImageInputs, EditInputs, SpeechInputs)


@dataclass(frozen=True)
class PricedModel:
    """A model that may be called, with its price in force now.

    Attributes:
        name: its name in the catalog.
        price: what it costs.
        max_output_tokens: of a chat model, the longest answer that is paid for; 0 for others.
        image_tokens: of a chat model, the most tokens that an image of a prompt counts as; None for the default.
        file_tokens: of a chat model, the most tokens that a file of a prompt counts as; None if it takes no files.
        context_tokens: of a chat model, the most tokens of prompt and answer together; of an embedding model, the most
            of one input that are paid for; None if it is not known.
        upstream: of a chat or embedding model, the operator's upstream that has it; None for the default.
        upstream_model: of a chat or embedding model, its name at the upstream; None for the same name.
    """

    name: str
    price: PriceTag
    max_output_tokens: int
    image_tokens: int | None
    file_tokens: int | None
    context_tokens: int | None
    upstream: str | None
    upstream_model: str | None


# Of a chat model for which the operator has named no longest answer.
DEFAULT_MAX_OUTPUT_TOKENS = 4096
# What a model of the catalog has besides its name, its kind and its price.
_PROPERTIES = frozenset(ModelEntry.model_fields) - {"name", "kind", "price", "is_active"}


@dataclass(frozen=True)
class ImportedCatalog:
    """How many models were imported, and how many prices were new."""

    models: int
    new_prices: int


async def get_chat_model(tx: Transaction, name: str) -> PricedModel:
    """The chat model with that name.

    Raises:
        ModelNotPricedError: the catalog has no such chat model, or no price for it.
    """
    for row in await repository.find_models(tx, ModelKind.CHAT, [name]):
        if row.price is not None:
            return _priced(row, row.price)
    raise ModelNotPricedError.for_chat(name)


async def get_embedding_model(tx: Transaction, name: str) -> PricedModel:
    """The embedding model with that name.

    Raises:
        UnknownModelError: the catalog has no such embedding model.
        ModelNotPricedError: the catalog has the model, but no price for it.
    """
    for row in await repository.find_models(tx, ModelKind.EMBEDDING, [name]):
        if row.price is None:
            raise ModelNotPricedError.for_embeddings(name)
        return _priced(row, row.price)
    offered = [model.name for model in await repository.list_models(tx, ModelKind.EMBEDDING)]
    there_are = f"The embedding models are: {', '.join(offered)}" if offered else "The catalog has no embedding model"
    raise UnknownModelError(f"Unknown embedding model: {name}. {there_are}", param="model")


async def next_price_change(tx: Transaction, names: Collection[str]) -> datetime | None:
    """When one of these models has another price next, by Postgres's clock; None if no such price is known."""
    return await repository.find_next_price_change(tx, names)


async def is_chat_model_priced(tx: Transaction, name: str) -> bool:
    """Whether `get_chat_model` finds a chat model with that name."""
    return any(row.price is not None for row in await repository.find_models(tx, ModelKind.CHAT, [name]))


async def get_generation_model(tx: Transaction, name: str) -> PricedModel:
    """The model for `owner/name`, `owner/name:version` or a version. An entry for exactly that version comes first.

    Raises:
        UnknownModelError: the catalog has no such model.
        ModelNotPricedError: the catalog has the model, but no price for it.
    """
    names = [name, name.partition(":")[0]]
    found = {row.name: row for row in await repository.find_models(tx, ModelKind.GENERATION, names)}
    row = found.get(names[0]) or found.get(names[1])
    if row is None:
        raise UnknownModelError(f"Unknown model: {name}")
    if row.price is None:
        raise ModelNotPricedError.for_generation(row.name)
    return _priced(row, row.price)


async def get_image_model(tx: Transaction, name: str | None) -> tuple[str, ImageInputs]:
    """The generation model of that name and what an image request is to it; without a name the default one.

    That is the one that is marked as such, or else the first by name that makes images.

    Raises:
        UnknownModelError: the catalog has no such model, or it is not said to make images.
    """
    return _chosen(await _offering(tx, "images", ImageInputs), name, "image model")


async def get_edit_model(tx: Transaction, name: str | None) -> tuple[str, EditInputs]:
    """The generation model of that name and what a request for edits is to it; without a name the default one.

    Raises:
        UnknownModelError: the catalog has no such model, or it is not said to change images.
    """
    return _chosen(await _offering(tx, "edits", EditInputs), name, "model that changes images")


async def get_speech_model(tx: Transaction, name: str | None) -> tuple[str, SpeechInputs]:
    """The generation model of that name and what a request for speech is to it; without a name the default one.

    Raises:
        UnknownModelError: the catalog has no such model, or it is not said to speak.
    """
    return _chosen(await _offering(tx, "speech", SpeechInputs), name, "speech model")


async def _offering(tx: Transaction, column: str, form: type[_Offer]) -> Mapping[str, _Offer]:
    """By name, what the generation models offer in a column. Those that offer nothing there are left out."""
    models = await repository.list_models(tx, ModelKind.GENERATION)
    return {model.name: form.model_validate(given) for model in models if (given := getattr(model, column))}


def _chosen(offered: Mapping[str, _Offer], name: str | None, what: str) -> tuple[str, _Offer]:
    if name is None:
        name = next((key for key, inputs in offered.items() if inputs.default), next(iter(offered), None))
    if name is not None and name in offered:
        return name, offered[name]
    there_are = f"Those in the catalog are: {', '.join(offered)}" if offered else f"The catalog has no {what}"
    raise UnknownModelError(f"Unknown {what}: {name}. {there_are}" if name else there_are, param="model")


async def list_generation_models(tx: Transaction) -> Sequence[Model]:
    """The models that can be offered to an agent, by name."""
    return await repository.list_models(tx, ModelKind.GENERATION)


async def get_price(tx: Transaction, price_id: int) -> PriceTag:
    """The price at which some work was accepted.

    Raises:
        ModelNotPricedError: there is no price with that id.
    """
    price = await repository.find_price(tx, price_id)
    if price is None:
        raise ModelNotPricedError
    return price


async def import_catalog(tx: Transaction, catalog: CatalogFile | None, *, actor: Actor) -> ImportedCatalog:
    """Add the models and prices of a file, and change those that differ. What it does not name stays as it is.

    Without a file, the starter catalog is imported.

    Raises:
        CatalogFileError: a model has another price that is effective from the same moment.
    """
    catalog = catalog or read_starter_catalog()
    # Prices are looked up by Postgres's clock. By the same clock, a new price is in force in this transaction already.
    now = await moment_of(tx)
    new_prices = 0
    for entry in catalog.models:
        before = await _as_logged(tx, entry, now)
        is_changed = await _save_model(tx, entry)
        is_price_new = await _save_price(tx, entry.name, entry.price, now)
        new_prices += is_price_new
        if is_changed or is_price_new:
            after = await _as_logged(tx, entry, now)
            log_change(tx, actor, "model_imported", object_id=entry.name, before=before, after=after)
    return ImportedCatalog(len(catalog.models), new_prices)


async def import_missing_models(tx: Transaction, catalog: CatalogFile, *, actor: Actor) -> None:
    """Import only the models that the catalog does not have, so that no price of the operator's is changed."""
    known = set(await repository.list_names(tx))
    missing = [entry for entry in catalog.models if entry.name not in known]
    await import_catalog(tx, CatalogFile(models=missing), actor=actor)


async def set_price(
    tx: Transaction,
    name: str,
    kind: ModelKind,
    price: PriceEntry,
    *,
    actor: Actor,
    properties: Mapping[str, object] = MappingProxyType({}),
) -> ImportedCatalog:
    """Give one model a price from now on. One that the catalog lacks is added; one that was switched off is on again.

    Args:
        tx: the transaction.
        name: the model.
        kind: what it is used for.
        price: what it costs.
        actor: who sets the price.
        properties: further fields of `ModelEntry`. Those that are None or left out stay as they are.

    Raises:
        CatalogFileError: the model is of the other kind.
    """
    known = await repository.find_model(tx, name)
    if known is not None and known.kind != kind:
        raise CatalogFileError(f"{name} is a {known.kind} model, whose price has other parts")
    kept = {} if known is None else {field: getattr(known, field) for field in _PROPERTIES}
    given = {field: value for field, value in properties.items() if value is not None}
    defaults = {"max_output_tokens": DEFAULT_MAX_OUTPUT_TOKENS} if kind is ModelKind.CHAT else {}
    values: dict[str, Any] = defaults | kept | given
    entry = ModelEntry(name=name, kind=kind, price=price, is_active=True, **values)
    return await import_catalog(tx, CatalogFile(models=[entry]), actor=actor)


async def add_price(tx: Transaction, name: str, price: PriceEntry, *, actor: Actor) -> bool:
    """Give a model of the catalog a price that is in force from a moment on: now, unless the price names a later one.

    Returns:
        False if the model has that price already at that moment; nothing is added then.

    Raises:
        NotFoundError: the catalog has no such model.
        InvalidRequestError: the moment is past, and work was accepted at the price before; or a generation model's
            price has no ceiling.
        CatalogFileError: another price is effective from the same moment.
    """
    model = await repository.find_model(tx, name)
    if model is None:
        raise NotFoundError(f"No such model: {name}")
    now = await moment_of(tx)
    if price.effective_at is not None and price.effective_at < now:
        raise InvalidRequestError("That is past, and what was accepted since is charged at the price before")
    if model.kind == ModelKind.GENERATION and price.ceiling is None:
        raise InvalidRequestError("A generation model needs a ceiling: the most that one generation may cost")
    effective_at = price.effective_at or now
    before = _price_as_logged(await repository.find_price_at(tx, name, effective_at))
    if not await _save_price(tx, name, price, now):
        return False
    after = _price_as_logged(await repository.find_price_at(tx, name, effective_at))
    log_change(tx, actor, "price_added", object_id=name, before=before, after=after)
    return True


async def switch_model(tx: Transaction, name: str, *, is_active: bool, actor: Actor) -> None:
    """Offer a model to agents, or refuse new calls of it. Its prices stay.

    Raises:
        NotFoundError: the catalog has no such model.
    """
    model = await repository.find_model(tx, name)
    if model is None:
        raise NotFoundError(f"No such model: {name}")
    if model.is_active == is_active:
        return
    model.is_active = is_active
    event = "model_switched_on" if is_active else "model_switched_off"
    log_change(tx, actor, event, object_id=name, before={"is_active": not is_active}, after={"is_active": is_active})


async def export_catalog(tx: Transaction) -> str:
    """The active models with their prices in force now, as a catalog file that can be imported."""
    return write_catalog(await repository.list_priced(tx))


async def _as_logged(tx: Transaction, entry: ModelEntry, now: datetime) -> dict[str, object] | None:
    """The model, and the price of it that is, or will be, in force when the entry's is; None if there is no model."""
    model = await repository.find_model(tx, entry.name)
    if model is None:
        return None
    values: dict[str, object] = {name: getattr(model, name) for name in sorted(_PROPERTIES | {"kind", "is_active"})}
    return values | _price_as_logged(await repository.find_price_at(tx, entry.name, entry.price.effective_at or now))


def _price_as_logged(price: Price | None) -> dict[str, object]:
    if price is None:
        return {}
    return {**asdict(price.unit_prices), "ceiling": price.ceiling, "effective_at": price.effective_at}


async def _save_model(tx: Transaction, entry: ModelEntry) -> bool:
    # A model that was switched off stays off unless the file says otherwise.
    left_out = {"is_active"} - entry.model_fields_set
    values = entry.model_dump(mode="json", exclude={"price"} | left_out)
    return await repository.save_model(tx, Model(**values))


async def _save_price(tx: Transaction, name: str, price: PriceEntry, now: datetime) -> bool:
    effective_at = price.effective_at or now
    current = await repository.find_price_at(tx, name, effective_at)
    if current is not None:
        if (current.unit_prices, current.ceiling) == (price.unit_prices, price.ceiling):
            return False
        if current.effective_at == effective_at:
            # Work is settled at the price at which it was accepted, so prices are added and never edited.
            raise CatalogFileError(f"{name}: another price is effective from {effective_at.isoformat()}")
    await repository.add_price(tx, name, effective_at, price.unit_prices, price.ceiling)
    return True


def _priced(row: ModelRow, price: PriceTag) -> PricedModel:
    return PricedModel(
        name=row.name,
        price=price,
        max_output_tokens=row.max_output_tokens or 0,
        image_tokens=row.image_tokens,
        file_tokens=row.file_tokens,
        context_tokens=row.context_tokens,
        upstream=row.upstream,
        upstream_model=row.upstream_model,
    )
