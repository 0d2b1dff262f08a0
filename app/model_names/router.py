from fastapi import APIRouter

from app.core.documentation import links, may_raise
from app.model_names.dependencies import ModelNamesDep
from app.model_names.errors import ModelNotFoundError
from app.model_names.schemas import ModelRead, ModelsRead
from app.rate_limits.dependencies import AnyCaller, GuardedRoute

router = APIRouter(prefix="/api/external/v1/models", tags=["Chat"], route_class=GuardedRoute)


@router.get("", responses={200: {"links": links("model_id", "data/0/id", "get_model")}})
async def list_models(caller: AnyCaller, names: ModelNamesDep) -> ModelsRead:
    """The names that a chat's `model` may have."""
    return ModelsRead.of(await names.all_of(caller.organization_id))


# The id of an agent's model contains a slash.
@router.get("/{model_id:path}")
@may_raise(ModelNotFoundError)
async def get_model(model_id: str, caller: AnyCaller, names: ModelNamesDep) -> ModelRead:
    """One of the names that a chat's `model` may have."""
    return ModelRead.of(await names.get(caller.organization_id, model_id))
