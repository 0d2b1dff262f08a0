from typing import Annotated

from fastapi import Depends

from app.api_keys.caller import Caller
from app.api_keys.scopes import Scope
from app.dependencies import SettingsDep
from app.rate_limits.dependencies import Guard


async def get_active_hours(settings: SettingsDep) -> float:
    """How long after its last update a session is active, in hours."""
    return settings.session_active_hours


ActiveHoursDep = Annotated[float, Depends(get_active_hours)]
SessionsReader = Annotated[Caller, Depends(Guard(Scope.SESSIONS_READ))]
