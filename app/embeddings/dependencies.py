from typing import Annotated

from fastapi import Depends, Request

from app.api_keys.caller import Caller
from app.api_keys.scopes import Scope
from app.embeddings.service import Embeddings
from app.rate_limits.dependencies import Guard


async def get_embeddings(request: Request) -> Embeddings:
    """The requests for embeddings of this process."""
    embeddings: Embeddings = request.app.state.embeddings
    return embeddings


EmbeddingsInvoker = Annotated[Caller, Depends(Guard(Scope.ORCHESTRATOR_INVOKE))]
EmbeddingsDep = Annotated[Embeddings, Depends(get_embeddings)]
