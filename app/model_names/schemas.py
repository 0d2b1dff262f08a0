from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel

from app.model_names.service import ModelName


class ModelRead(BaseModel):
    """A model in OpenAI's form; `created` is in seconds since 1970."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str

    @classmethod
    def of(cls, model: ModelName) -> Self:
        """The model as the API shows it."""
        return cls(id=model.id, created=int(model.created_at.timestamp()), owned_by=model.organization_id)


class ModelsRead(BaseModel):
    """A list of models in OpenAI's form."""

    object: Literal["list"] = "list"
    data: list[ModelRead]

    @classmethod
    def of(cls, models: Sequence[ModelName]) -> Self:
        """The models as the API shows them."""
        return cls(data=[ModelRead.of(model) for model in models])
