from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Numeric, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, composite, mapped_column

from app.catalog.pricing import PRICE_UNITS, UnitPrices
from app.core.database import Base, Credits, Moment, one_of


class ModelKind(StrEnum):
    """What a model is used for."""

    CHAT = "chat"
    GENERATION = "generation"
    EMBEDDING = "embedding"


class Model(Base):
    """A model that the operator offers: a Replicate model (`owner/name`), or a chat or embedding model elsewhere."""

    __tablename__ = "models"
    __table_args__ = (
        CheckConstraint(one_of("kind", ModelKind), name="kind_known"),
        CheckConstraint("max_output_tokens > 0", name="max_output_tokens_positive"),
        CheckConstraint("image_tokens >= 0", name="image_tokens_not_negative"),
        CheckConstraint("file_tokens >= 0", name="file_tokens_not_negative"),
        CheckConstraint("context_tokens > 0", name="context_tokens_positive"),
        CheckConstraint(
            f"kind <> '{ModelKind.CHAT}' OR max_output_tokens IS NOT NULL", name="chat_has_max_output_tokens"
        ),
    )

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, default="")
    max_output_tokens: Mapped[int | None]
    # Of a chat model: the most tokens that one image of a prompt counts as; None: IMAGE_PROMPT_TOKENS.
    image_tokens: Mapped[int | None]
    # Of a chat model: the most tokens that one file of a prompt counts as; None: it takes no files.
    file_tokens: Mapped[int | None]
    # Of a chat model: the most tokens of prompt and answer together; None: not known, and not enforced. Of an embedding
    # model: the most tokens of one input that are paid for.
    context_tokens: Mapped[int | None]
    # Of a chat or embedding model: one of LLM_UPSTREAMS, and its name there; None: the default one, the same name.
    upstream: Mapped[str | None] = mapped_column(Text)
    upstream_model: Mapped[str | None] = mapped_column(Text)
    # Of a generation model that makes images: an `ImageInputs`.
    images: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # Of a generation model that changes images: an `EditInputs`.
    edits: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # Of a generation model that speaks: a `SpeechInputs`.
    speech: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())


class Price(Base):
    """What a model costs, in credits, from `effective_at` until the next price of the model becomes effective."""

    __tablename__ = "prices"
    __table_args__ = (
        UniqueConstraint("model_name", "effective_at"),
        CheckConstraint(" AND ".join(f"{name} >= 0" for name in (*PRICE_UNITS, "ceiling")), name="not_negative"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model_name: Mapped[str] = mapped_column(ForeignKey("models.name"))
    effective_at: Mapped[Moment]
    unit_prices: Mapped[UnitPrices] = composite(
        UnitPrices, *(mapped_column(unit, Numeric(18, 6), nullable=False) for unit in PRICE_UNITS)
    )
    ceiling: Mapped[Credits | None]
