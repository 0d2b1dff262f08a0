from typing import Annotated, Any, Final

from fastapi import Depends, Request

from app.api_keys.caller import Caller
from app.api_keys.scopes import Scope
from app.core.multipart_body import FORM
from app.core.read_body import hold_body
from app.dependencies import DatabaseDep, QueueDep, SettingsDep
from app.generations.dependencies import GenerationPolicyDep
from app.images.edit_form import fields_of
from app.images.service import Images
from app.rate_limits.dependencies import Guard, GuardedRoute

# Of a form: as it came, its parts, and what is stored of them.
_COPIES: Final = 3


async def get_images(
    request: Request, database: DatabaseDep, queue: QueueDep, policy: GenerationPolicyDep, settings: SettingsDep
) -> Images:
    """What makes images."""
    state = request.app.state
    return Images(database, queue, policy, settings.images_wait_seconds, lambda: bool(state.is_stopping))


class EditsRoute(GuardedRoute):
    """A route that takes forms as well as JSON."""

    async def read_body(self, request: Request, organization_id: str) -> tuple[Request, Any]:
        """The fields of a form, or whatever JSON says."""
        content_type = request.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != FORM:
            return await super().read_body(request, organization_id)
        held = await hold_body(request, request.app.state.bodies, organization_id)
        body = await request.body()
        await held.resize(_COPIES * len(body))
        return request, fields_of(content_type, body)


ContentGenerator = Annotated[Caller, Depends(Guard(Scope.CONTENT_GENERATE))]
ImagesDep = Annotated[Images, Depends(get_images)]
