"""The cookies of browsers that have signed in to the console."""

from typing import Any

from app.organizations import service as organizations
from tests.browser.world import World
from tests.signed_in import cookies_after_sign_in


async def cookies_of(world: World, role: str) -> list[Any]:
    """The cookies of a member with that role, who has just signed in; none for "nobody"."""
    if role == "nobody":
        return []
    async with world.database.transaction() as tx:
        user = await organizations.find_user(tx, world.emails[role])
    assert user is not None
    cookies = await cookies_after_sign_in(world.database, user.id)
    return [{"name": name, "value": value, "url": world.stack.url} for name, value in cookies.items()]
