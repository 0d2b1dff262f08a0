"""Who may see what of whom, on every route of the application: a route that has no row here fails the tests."""

import re
from dataclasses import dataclass
from enum import StrEnum

from fastapi.routing import iter_route_contexts

from app.api_keys.scopes import Scope
from app.core.settings import Settings
from app.generations.callbacks import PATH
from app.main import create_app

BASE = "/api/external"
_CONVERTOR = re.compile(":[a-z_]+}")


class Whose(StrEnum):
    """Whom a route shows the same thing to."""

    ORGANIZATION = "organization"  # all users of the organization
    MANAGERS = "managers"  # its owners and admins; others are refused
    USER = "user"  # the user who made the key
    EVERYBODY = "everybody"  # it belongs to no organization


@dataclass(frozen=True)
class Row:
    """What a route needs, and whose the things are that it names or lists.

    `scope` is None if any key will do. What has no key at all has `is_open`, and a check of its own if it shows
    anything of an organization.
    """

    whose: Whose
    scope: Scope | None = None
    is_open: bool = False


_OPEN = Row(Whose.EVERYBODY, is_open=True)
ROWS = {
    f"POST {BASE}/v1/chat/completions": Row(Whose.USER, Scope.ORCHESTRATOR_INVOKE),
    f"POST {BASE}/v1/images/generations": Row(Whose.EVERYBODY, Scope.CONTENT_GENERATE),
    f"POST {BASE}/v1/images/edits": Row(Whose.EVERYBODY, Scope.CONTENT_GENERATE),
    f"POST {BASE}/v1/audio/speech": Row(Whose.EVERYBODY, Scope.CONTENT_GENERATE),
    f"POST {BASE}/v1/completions": Row(Whose.USER, Scope.ORCHESTRATOR_INVOKE),
    f"POST {BASE}/v1/embeddings": Row(Whose.EVERYBODY, Scope.ORCHESTRATOR_INVOKE),
    f"POST {BASE}/agents/{{agent_id}}/completions": Row(Whose.ORGANIZATION, Scope.AGENTS_INVOKE),
    f"POST {BASE}/v1/responses": Row(Whose.USER, Scope.ORCHESTRATOR_INVOKE),
    f"GET {BASE}/v1/responses/{{response_id}}": Row(Whose.USER, Scope.ORCHESTRATOR_INVOKE),
    f"GET {BASE}/v1/responses/{{response_id}}/input_items": Row(Whose.USER, Scope.ORCHESTRATOR_INVOKE),
    f"POST {BASE}/v1/responses/{{response_id}}/cancel": Row(Whose.USER, Scope.ORCHESTRATOR_INVOKE),
    # After those that need what it deletes.
    f"DELETE {BASE}/v1/responses/{{response_id}}": Row(Whose.USER, Scope.ORCHESTRATOR_INVOKE),
    f"GET {BASE}/v1/models": Row(Whose.ORGANIZATION),
    f"GET {BASE}/v1/models/{{model_id}}": Row(Whose.ORGANIZATION),
    f"GET {BASE}/agents": Row(Whose.ORGANIZATION, Scope.AGENTS_LIST),
    f"GET {BASE}/sessions": Row(Whose.USER, Scope.SESSIONS_READ),
    f"GET {BASE}/sessions/{{session_id}}/messages": Row(Whose.USER, Scope.SESSIONS_READ),
    f"GET {BASE}/sessions/{{session_id}}/status": Row(Whose.USER, Scope.SESSIONS_READ),
    f"GET {BASE}/content": Row(Whose.ORGANIZATION, Scope.CONTENT_READ),
    f"GET {BASE}/content/{{content_id}}": Row(Whose.ORGANIZATION, Scope.CONTENT_READ),
    f"POST {BASE}/content/{{content_id}}/retry": Row(Whose.ORGANIZATION, Scope.CONTENT_RETRY),
    f"GET {BASE}/credits": Row(Whose.ORGANIZATION),
    # Owners and admins see that of the whole organization.
    f"GET {BASE}/v1/usage": Row(Whose.USER, Scope.USAGE_READ),
    **{
        f"{route.replace(' ', f' {BASE}/webhooks')}": Row(Whose.MANAGERS, Scope.WEBHOOKS_MANAGE)
        for route in (
            *("GET /endpoints", "POST /endpoints", "GET /endpoints/{endpoint_id}", "PATCH /endpoints/{endpoint_id}"),
            "POST /endpoints/{endpoint_id}/rotate-secret",
            *("POST /endpoints/{endpoint_id}/test", "GET /deliveries", "GET /deliveries/{delivery_id}"),
            "POST /deliveries/{delivery_id}/resend",
            # The last one: nothing of the endpoint is there after it.
            "DELETE /endpoints/{endpoint_id}",
        )
    },
    "GET /files/{token}/{name}": _OPEN,
    "GET /files/inputs/{file_id}/{name}": _OPEN,
    f"POST {PATH}/{{generation_id}}/{{attempt}}/{{nonce}}": _OPEN,
    "GET /healthz": _OPEN,
    "GET /readyz": _OPEN,
    "GET /metrics": _OPEN,
    "GET /openapi.json": _OPEN,
    "GET /docs": _OPEN,
    "GET /docs/{name}": _OPEN,
}


def routes_of_the_application() -> set[str]:
    """Method and path of every route, documented or not, without what is said of the form of parameters."""
    application = create_app(Settings.model_validate({}))
    return {
        f"{method} {_CONVERTOR.sub('}', context.path or '')}"
        for context in iter_route_contexts(application.routes)
        for method in (context.methods or set()) - {"HEAD"}
    }
