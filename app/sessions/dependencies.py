from typing import Annotated

from fastapi import Depends

from app.api_keys.caller import Caller
from app.rate_limits.dependencies import Guard

SessionsReader = Annotated[Caller, Depends(Guard("sessions:read"))]
