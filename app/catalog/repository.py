from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from app.catalog.models import Model, Price
from app.core.database import Transaction

_PRICED = """
SELECT m.name AS model_name, m.kind, m.max_output_tokens, m.image_tokens, m.upstream, m.upstream_model,
       p.id, p.per_call, p.per_second, p.per_output,
       p.per_million_prompt_tokens, p.per_million_completion_tokens, p.ceiling
FROM models m
LEFT JOIN LATERAL (
    SELECT * FROM prices WHERE model_name = m.name AND effective_at <= now() ORDER BY effective_at DESC LIMIT 1
) p ON true
WHERE m.is_active AND m.kind = $1 AND m.name = ANY($2::text[])
"""


async def find_models(tx: Transaction, kind: str, names: Sequence[str]) -> Sequence[Record]:
    """The active models of these names, each with its price in force now, whose `id` is null where there is none."""
    return await tx.fetch(_PRICED, kind, list(names))


async def list_models(tx: Transaction, kind: str) -> Sequence[Model]:
    """The active models of a kind, by name."""
    query = select(Model).where(Model.kind == kind, Model.is_active).order_by(Model.name)
    return (await tx.session.scalars(query)).all()


async def list_names(tx: Transaction) -> Sequence[str]:
    """The names of all models, active or not."""
    return (await tx.session.scalars(select(Model.name).order_by(Model.name))).all()


async def find_price(tx: Transaction, price_id: int) -> Price | None:
    """One price, whether still in force or not."""
    return await tx.session.get(Price, price_id)


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
    """The active models that have a price now, with it, by kind and name."""
    query = (
        select(Model, Price)
        .join(Price, Price.model_name == Model.name)
        .where(Model.is_active, Price.effective_at <= func.now())
        .ext(distinct_on(Model.kind, Model.name))
        .order_by(Model.kind, Model.name, Price.effective_at.desc())
    )
    return [(model, price) for model, price in (await tx.session.execute(query)).all()]
