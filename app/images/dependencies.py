from typing import Annotated

from fastapi import Depends, Request

from app.api_keys.caller import Caller
from app.api_keys.scopes import Scope
from app.dependencies import DatabaseDep, QueueDep, SettingsDep
from app.generations.dependencies import GenerationPolicyDep
from app.images.service import Images
from app.rate_limits.dependencies import Guard


async def get_images(
    request: Request, database: DatabaseDep, queue: QueueDep, policy: GenerationPolicyDep, settings: SettingsDep
) -> Images:
    """What makes images."""
    state = request.app.state
    return Images(database, queue, policy, settings.images_wait_seconds, lambda: bool(state.is_stopping))


ContentGenerator = Annotated[Caller, Depends(Guard(Scope.CONTENT_GENERATE))]
ImagesDep = Annotated[Images, Depends(get_images)]
