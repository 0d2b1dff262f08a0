from typing import Any, Final

from fastapi import Request

from app.core.multipart_body import FORM
from app.core.read_body import hold_body
from app.images.edit_form import fields_of
from app.rate_limits.dependencies import GuardedRoute

# Of a form: as it came, its parts, and what is stored of them.
_COPIES: Final = 3


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
