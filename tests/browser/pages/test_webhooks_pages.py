from playwright.async_api import Browser

from tests.browser.looking import faults_of_area
from tests.browser.world import World


async def test_pages_can_be_read_by_everybody(world: World, browser: Browser) -> None:
    assert await faults_of_area("webhooks", world, browser) == []
