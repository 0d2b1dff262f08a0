"""Chats, streams, generations, files, the console, and what fails, again and again."""

from typing import Any

import httpx

from tests import factories
from tests.agents.definitions import make_host
from tests.chat.asking import ask, ask_to_stream, open_http
from tests.observe.observed import Observed
from tests.signed_in import cookies_after_sign_in


async def load(observed: Observed) -> None:
    """Use everything, again and again: chats, streams, generations, files, the console, and what fails."""
    organization = observed.organization
    failing = await make_host(observed.database, "sim-chat--status-500")
    poor = await factories.make_organization(observed.database, credit="0")
    cookies = await cookies_after_sign_in(observed.database, organization.user_id)
    async with (
        open_http(observed.api) as http,
        httpx.AsyncClient(base_url=f"{observed.api}/admin", cookies=cookies, timeout=60) as console,
    ):
        while True:
            await ask(http, organization, "Say something")
            await ask_to_stream(http, organization, "Tell me a story")
            await ask(http, organization, "Please make simulator/image of a lighthouse")
            await ask(http, failing, "count to 5")
            await ask(http, poor, "Hello")
            await look_at_files(http, organization.headers, observed)
            for page in ("/", "/usage", "/sessions", "/content"):
                await console.get(page)
            await http.post(f"{observed.api}/webhooks/replicate/a/0/c", json={"id": "p"})


async def look_at_files(http: httpx.AsyncClient, headers: dict[str, str], observed: Observed) -> None:
    """Read the newest file, and once more when the store has lost it."""
    items: list[dict[str, Any]] = (await http.get("/content", headers=headers)).json()["items"]
    for item in items[:1]:
        if item["status"] != "completed":
            continue
        detail = (await http.get(f"/content/{item['id']}", headers=headers)).json()
        await http.get(item["storage_url"])
        (observed.objects / detail["storage_path"]).unlink(missing_ok=True)
        await http.get(item["storage_url"])
