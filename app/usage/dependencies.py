from typing import Annotated

from fastapi import Depends

from app.api_keys.caller import Caller
from app.api_keys.scopes import Scope
from app.rate_limits.dependencies import Guard

UsageReader = Annotated[Caller, Depends(Guard(Scope.USAGE_READ))]
