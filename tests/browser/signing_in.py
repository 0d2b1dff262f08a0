"""Signs in to the console as a browser does, and gives the cookies of that."""

import re
from typing import Any

import httpx

from tests.browser.world import World

PASSWORD = "correct horse battery staple"
_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


async def cookies_of(world: World, role: str) -> list[Any]:
    """The cookies of a member with that role, who has just signed in; none for "nobody"."""
    if role == "nobody":
        return []
    async with httpx.AsyncClient(base_url=world.stack.url, timeout=60) as client:
        door = await client.get("/admin/sign-in")
        found = _TOKEN.search(door.text)
        assert found, door.text
        form = {"csrf": found[1], "email": world.emails[role], "password": PASSWORD}
        signed_in = await client.post("/admin/sign-in", data=form)
        assert signed_in.status_code == 303, signed_in.text
        return [
            {"name": cookie.name, "value": cookie.value or "", "url": world.stack.url} for cookie in client.cookies.jar
        ]
