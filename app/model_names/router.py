from fastapi import APIRouter

from app.core.documentation import links, may_raise
from app.dependencies import TransactionDep
from app.model_names import service
from app.model_names.errors import ModelNotFoundError
from app.model_names.schemas import ModelRead, ModelsRead
from app.rate_limits.dependencies import AnyCaller, GuardedRoute

router = APIRouter(prefix="/api/external/v1/models", tags=["Chat"], route_class=GuardedRoute)


@router.get("", responses={200: {"links": links("model_id", "data/0/id", "get_model")}})
async def list_models(caller: AnyCaller, tx: TransactionDep) -> ModelsRead:
    """The names that a chat's `model` may have."""
    return ModelsRead.of(await service.list_models(tx, caller.organization_id))


# The id of an agent's model contains a slash.
@router.get("/{model_id:path}")
@may_raise(ModelNotFoundError)
async def get_model(model_id: str, caller: AnyCaller, tx: TransactionDep) -> ModelRead:
    """One of the names that a chat's `model` may have."""
    return ModelRead.of(await service.get_model(tx, caller.organization_id, model_id))
