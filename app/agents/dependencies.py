from typing import Annotated

from fastapi import Depends

from app.dependencies import SettingsDep


async def get_default_model(settings: SettingsDep) -> str:
    """The chat model of agents that have none of their own."""
    return settings.llm_model


DefaultModelDep = Annotated[str, Depends(get_default_model)]
