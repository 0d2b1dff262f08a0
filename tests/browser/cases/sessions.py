"""The sessions, one with everything in it, a request, and the playground."""

import httpx

from app.core.database import Database
from tests.browser.world import Case, World
from tests.chat.tools import WEATHER, result

_HOSTILE = "<script>alert(1)</script> " + "W" * 400 + " שלום עולם, this is right to left. " + "long words " * 60


async def pages(world: World) -> list[Case]:
    async with httpx.AsyncClient(
        base_url=f"{world.stack.base_url}/v1", headers=world.organization.headers, timeout=60
    ) as http:
        made = await _say(http, "A lighthouse at night: make simulator/image", "lighthouse")
        await _say(http, "Now a calm sound: make simulator/audio", "lighthouse")
        await _say(http, _HOSTILE, "x" * 300)
        await _call_tool(http)
        await _say(http, "slash", "a name/with <b>slashes</b> and a length of many characters " + "é" * 64)
        await http.post("/chat/completions", json={"model": "agent/nobody", "messages": [_user("hello")]})
    await _fail(world.database, world.organization.id)
    request_id = made.headers["X-Request-ID"]
    return [
        Case("sessions", "/sessions"),
        Case("sessions-viewer", "/sessions", as_role="viewer"),
        Case("sessions-none", "/sessions", as_role="member"),
        Case("sessions-filtered", "/sessions?state=running&q=nothing"),
        Case("session", "/sessions/lighthouse"),
        Case("session-hostile", f"/sessions/~?name={'x' * 300}"),
        Case("session-tools", "/sessions/weather"),
        Case("session-viewer", f"/sessions/lighthouse?user={world.organization.user_id}", as_role="viewer"),
        Case("session-message", "/sessions/lighthouse?message=0"),
        Case("request", f"/requests/{request_id}"),
        Case("request-none", "/requests/unknown"),
        Case("playground", "/playground"),
        Case("playground-session", "/playground?session=lighthouse"),
        Case("playground-tools", "/playground?session=weather"),
        Case("playground-viewer", "/playground", as_role="viewer"),
    ]


def _user(words: str) -> dict[str, str]:
    return {"role": "user", "content": words}


async def _say(http: httpx.AsyncClient, words: str, session: str) -> httpx.Response:
    body = {"messages": [_user(words)], "elevenlabs_extra_body": {"conversation_id": session}}
    return (await http.post("/chat/completions", json=body)).raise_for_status()


async def _call_tool(http: httpx.AsyncClient) -> None:
    """A session in which a tool of the client's was called, its result replaced, and another one waits."""
    session = {"tools": [WEATHER], "elevenlabs_extra_body": {"conversation_id": "weather"}}
    asked = (await http.post("/chat/completions", json={**session, "messages": [_user("get_weather")]})).json()
    message = asked["choices"][0]["message"]
    for word in ("rain", "sun"):
        told = [_user("get_weather"), message, result(message["tool_calls"][0], word)]
        await http.post("/chat/completions", json={**session, "messages": told})
    await http.post("/chat/completions", json={**session, "messages": [_user("get_weather")]})


async def _fail(database: Database, organization_id: str) -> None:
    """Let one session have failed."""
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE sessions SET last_turn_failed = true WHERE organization_id = $1 AND public_id = 'weather'",
            organization_id,
        )
