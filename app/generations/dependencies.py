from typing import Annotated

from fastapi import Depends

from app.dependencies import SettingsDep
from app.generations.service import GenerationPolicy


async def get_generation_policy(settings: SettingsDep) -> GenerationPolicy:
    """The operator's limits for each generation."""
    return GenerationPolicy.of(settings)


GenerationPolicyDep = Annotated[GenerationPolicy, Depends(get_generation_policy)]
