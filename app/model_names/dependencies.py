from typing import Annotated

from fastapi import Depends, Request

from app.core.documentation import may_raise
from app.core.errors import ServiceUnavailableError
from app.model_names.cache import ModelNames


@may_raise(ServiceUnavailableError)
async def get_model_names(request: Request) -> ModelNames:
    """The names of models that this process remembers."""
    names: ModelNames = request.app.state.model_names
    return names


ModelNamesDep = Annotated[ModelNames, Depends(get_model_names)]
