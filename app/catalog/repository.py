from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

from asyncpg import Record
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from app.catalog.models import Model, ModelKind, Price
from app.catalog.pricing import PriceTag, UnitPrices
from app.core.database import Transaction

# All columns of `prices` are selected, because only app.catalog.pricing lists the units that a price can have.
_WITH_PRICE = """
SELECT p.*, m.name, m.max_output_tokens, m.image_tokens, m.file_tokens, m.context_tokens, m.upstream,
       m.upstream_model
FROM models m
LEFT JOIN LATERAL (
    SELECT * FROM prices WHERE model_name = m.name AND effective_at <= now() ORDER BY effective_at DESC LIMIT 1
) p ON true
WHERE m.is_active AND m.kind = $1 AND m.name = ANY($2::text[])
"""


@dataclass(frozen=True)
class ModelRow:
    """An active model with its price in force now, which is None if it has none."""

    name: str
    max_output_tokens: int | None
    image_tokens: int | None
    file_tokens: int | None
    context_tokens: int | None
    upstream: str | None
    upstream_model: str | None
    price: PriceTag | None

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The model of a row of a model joined with its price, if any."""
        return cls(
            name=row["name"],
            max_output_tokens=row["max_output_tokens"],
            image_tokens=row["image_tokens"],
            file_tokens=row["file_tokens"],
            context_tokens=row["context_tokens"],
            upstream=row["upstream"],
            upstream_model=row["upstream_model"],
            price=None if row["id"] is None else PriceTag.of_row(row),
        )


async def save_model(tx: Transaction, model: Model) -> bool:
    """Add the model, or change the one of that name. False if that one is the same in all that is set."""
    saved = await tx.session.merge(model)
    is_changed = saved in tx.session.new or tx.session.is_modified(saved)
    await tx.session.flush()
    return is_changed


async def add_price(
    tx: Transaction, model_name: str, effective_at: datetime, unit_prices: UnitPrices, ceiling: Decimal | None
) -> None:
    """Add a price of a model that is effective from that moment on."""
    tx.session.add(Price(model_name=model_name, effective_at=effective_at, unit_prices=unit_prices, ceiling=ceiling))
    await tx.session.flush()


async def find_models(tx: Transaction, kind: ModelKind, names: Sequence[str]) -> Sequence[ModelRow]:
    """The active models of a kind with these names, each with its price in force now."""
    return [ModelRow.from_row(row) for row in await tx.fetch(_WITH_PRICE, kind.value, list(names))]


async def find_next_price_change(tx: Transaction, names: Collection[str]) -> datetime | None:
    """The first moment after now from which one of these models has another price."""
    changes_at: datetime | None = await tx.fetchval(
        "SELECT min(effective_at) FROM prices WHERE model_name = ANY($1::text[]) AND effective_at > now()", list(names)
    )
    return changes_at


async def find_model(tx: Transaction, name: str) -> Model | None:
    """The model of that name, of any kind, active or not."""
    return await tx.session.get(Model, name)


async def list_models(tx: Transaction, kind: ModelKind) -> Sequence[Model]:
    """The active models of a kind, by name."""
    query = select(Model).where(Model.kind == kind.value, Model.is_active).order_by(Model.name)
    return (await tx.session.scalars(query)).all()


async def list_names(tx: Transaction) -> Sequence[str]:
    """The names of all models, active or not."""
    return (await tx.session.scalars(select(Model.name).order_by(Model.name))).all()


async def find_price(tx: Transaction, price_id: int) -> PriceTag | None:
    """One price, whether still in force or not."""
    row = await tx.fetchrow("SELECT * FROM prices WHERE id = $1", price_id)
    return PriceTag.of_row(row) if row else None


async def find_price_at(tx: Transaction, model_name: str, at: datetime) -> Price | None:
    """The price of the model that is in force at that moment."""
    query = (
        select(Price)
        .where(Price.model_name == model_name, Price.effective_at <= at)
        .order_by(Price.effective_at.desc())
        .limit(1)
    )
    return (await tx.session.scalars(query)).first()


async def list_priced(tx: Transaction) -> Sequence[tuple[Model, Price]]:
    """The active models that have a price in force now, each with that price, by kind and name."""
    query = (
        select(Model, Price)
        .join(Price, Price.model_name == Model.name)
        .where(Model.is_active, Price.effective_at <= func.now())
        .ext(distinct_on(Model.kind, Model.name))
        .order_by(Model.kind, Model.name, Price.effective_at.desc())
    )
    return [(model, price) for model, price in (await tx.session.execute(query)).all()]
