from collections.abc import Sequence
from functools import partial

from app.core.database import Database
from app.core.remembered import Remembered
from app.model_names import service
from app.model_names.errors import ModelNotFoundError
from app.model_names.service import ModelName

_MOST_ORGANIZATIONS = 1000


class ModelNames:
    """The names that a chat's `model` may have, by organization: clients ask for them before every conversation."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.remembered: Remembered[str, Sequence[ModelName]] = Remembered(_MOST_ORGANIZATIONS)

    async def all_of(self, organization_id: str) -> Sequence[ModelName]:
        """See `list_models`."""
        return await self.remembered.get(organization_id, partial(self._load, organization_id))

    async def get(self, organization_id: str, model_id: str) -> ModelName:
        """The model of that id.

        Raises:
            ModelNotFoundError: the organization has none.
        """
        for model in await self.all_of(organization_id):
            if model.id == model_id:
                return model
        raise ModelNotFoundError(model_id)

    async def _load(self, organization_id: str) -> Sequence[ModelName]:
        async with self._database.transaction() as tx:
            return await service.list_models(tx, organization_id)
