from typing import Annotated

from fastapi import Depends, Request

from app.api_keys.caller import Caller
from app.api_keys.scopes import Scope
from app.dependencies import DatabaseDep, QueueDep, SettingsDep
from app.direct_generations.service import DirectGenerations
from app.generations.dependencies import GenerationPolicyDep
from app.rate_limits.dependencies import Guard


async def get_direct_generations(
    request: Request, database: DatabaseDep, queue: QueueDep, policy: GenerationPolicyDep, settings: SettingsDep
) -> DirectGenerations:
    """What has contents made without an agent."""
    state = request.app.state
    return DirectGenerations(database, queue, policy, settings.images_wait_seconds, lambda: bool(state.is_stopping))


ContentGenerator = Annotated[Caller, Depends(Guard(Scope.CONTENT_GENERATE))]
DirectGenerationsDep = Annotated[DirectGenerations, Depends(get_direct_generations)]
