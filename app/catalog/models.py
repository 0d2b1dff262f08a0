from sqlalchemy import CheckConstraint, ForeignKey, Text, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Credits, Moment


class Model(Base):
    """A model that the operator offers: a Replicate model (`owner/name`) or a chat model of an upstream."""

    __tablename__ = "models"
    __table_args__ = (
        CheckConstraint("kind IN ('chat', 'generation')", name="kind_known"),
        CheckConstraint("max_output_tokens > 0", name="max_output_tokens_positive"),
        CheckConstraint("image_tokens >= 0", name="image_tokens_not_negative"),
        CheckConstraint("kind = 'generation' OR max_output_tokens IS NOT NULL", name="chat_has_max_output_tokens"),
    )

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, default="")
    max_output_tokens: Mapped[int | None]
    # The most that one image of a prompt may count for; None for what the operator has set for all.
    image_tokens: Mapped[int | None]
    # Of a chat model: one of the operator's named upstreams, and the name it has there, where they are not the default.
    upstream: Mapped[str | None] = mapped_column(Text)
    upstream_model: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())


class Price(Base):
    """What a model costs from `effective_at` on, until the next price of the model begins. In credits."""

    __tablename__ = "prices"
    __table_args__ = (
        UniqueConstraint("model_name", "effective_at"),
        CheckConstraint(
            "per_call >= 0 AND per_second >= 0 AND per_output >= 0"
            " AND per_million_prompt_tokens >= 0 AND per_million_completion_tokens >= 0 AND ceiling >= 0",
            name="not_negative",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model_name: Mapped[str] = mapped_column(ForeignKey("models.name"))
    effective_at: Mapped[Moment]
    per_call: Mapped[Credits]
    per_second: Mapped[Credits]
    per_output: Mapped[Credits]
    per_million_prompt_tokens: Mapped[Credits]
    per_million_completion_tokens: Mapped[Credits]
    ceiling: Mapped[Credits | None]
