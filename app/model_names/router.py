from fastapi import APIRouter

from app.dependencies import TransactionDep
from app.model_names import service as model_listing
from app.model_names.schemas import ModelRead, ModelsRead
from app.rate_limits.dependencies import AnyCaller, GuardedRoute

router = APIRouter(prefix="/api/external/v1/models", tags=["Chat"], route_class=GuardedRoute)


@router.get("")
async def list_models(caller: AnyCaller, tx: TransactionDep) -> ModelsRead:
    """What a chat's `model` may name."""
    return ModelsRead.of(await model_listing.list_models(tx, caller.organization_id))


# The id of an agent's model has a slash in it.
@router.get("/{model_id:path}")
async def get_model(model_id: str, caller: AnyCaller, tx: TransactionDep) -> ModelRead:
    """One of the names that a chat's `model` may have."""
    return ModelRead.of(await model_listing.get_model(tx, caller.organization_id, model_id))
