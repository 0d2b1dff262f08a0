"""The first page, the parts, and the pages of errors."""

from tests.browser.world import Case, World


async def pages(world: World) -> list[Case]:
    return [
        Case("kit", "/_kit"),
        Case("start", "/"),
        Case("start-viewer", "/", as_role="viewer"),
        Case("error-404", "/nothing-here"),
        Case("error-403", "/keys/new", as_role="viewer"),
        Case("error-404-operator", "/system", as_role="admin"),
    ]
