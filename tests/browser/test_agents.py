"""Agents in a browser: edited without scripts, two admins at once, the tree and what stands in its place on a phone."""

from playwright.async_api import Browser, Page, expect

from tests.agents.editing import change, edited
from tests.browser.agents import CREW, hire
from tests.browser.chromium import violations
from tests.browser.world import World


async def test_an_agent_is_edited_without_scripts(plain_page: Page, world: World) -> None:
    await hire(world)
    page = plain_page
    await page.goto("/admin/agents/polish")

    await page.get_by_label("Description").fill("Critic, then editor")
    await page.get_by_label("critic", exact=False).first.check()
    await page.get_by_label("Place of editor").fill("1")
    await page.get_by_label("Place of critic").fill("2, 4")
    await page.get_by_label("rounds").fill("200")
    await page.get_by_role("button", name="Save polish").click()

    await expect(page.get_by_text("Enter a whole number from 1 to 100.")).to_be_visible()
    await expect(page.get_by_label("Description")).to_have_value("Critic, then editor")
    await expect(page.get_by_label("Place of critic")).to_have_value("2, 4")

    await page.get_by_label("rounds").fill("20")
    await page.get_by_label("Active").check()
    await page.get_by_role("button", name="Save polish").click()

    await expect(page.get_by_text("polish is saved as version 2.")).to_be_visible()
    entry = (await edited(world.database, world.organization, "polish")).entry
    assert entry.sub_agents == ["editor", "critic", "illustrator", "critic"]
    assert (entry.max_iterations, entry.is_active) == (20, True)


async def test_only_the_fields_of_the_type_are_shown(page: Page, world: World) -> None:
    await page.goto("/admin/agents/new")
    await expect(page.get_by_label("Instruction")).to_be_visible()
    await expect(page.get_by_label("rounds")).to_be_hidden()

    await page.get_by_label("Type").select_option("LOOP_AGENT")

    await expect(page.get_by_label("Instruction")).to_be_hidden()
    await expect(page.get_by_label("Model", exact=True)).to_be_hidden()
    await expect(page.get_by_label("rounds")).to_be_visible()


async def test_two_admins_edit_one_agent(page: Page, world: World) -> None:
    await hire(world)
    await page.goto("/admin/agents/illustrator")
    await page.get_by_label("Instruction").fill("My own text.")
    await change(world.database, world.organization, "illustrator", instruction="Theirs.\n", temperature=0.5)

    await page.get_by_role("button", name="Save illustrator").click()

    await expect(page.get_by_role("alert")).to_contain_text("changed this agent while you were editing")
    await expect(page.get_by_label("Instruction")).to_have_value("My own text.")
    missed = page.locator("#missed")
    await expect(missed.locator("ins").first).to_have_text("Theirs.")
    await expect(missed).to_contain_text("Temperature")
    assert await violations(page) == []

    await page.get_by_role("button", name="Save over it").click()

    await expect(page.get_by_text("illustrator is saved as version 3.")).to_be_visible()
    assert (await edited(world.database, world.organization, "illustrator")).entry.instruction == "My own text."


async def test_the_tree_is_drawn_and_a_phone_has_it_in_words(page: Page, browser: Browser, world: World) -> None:
    await hire(world)
    await page.goto("/admin/agents")
    tree = page.locator("svg.tree").first

    await expect(tree).to_be_visible()
    assert await tree.locator("a").count() == len(CREW) - 1
    await expect(page.locator(".treelist").first).to_be_hidden()
    assert await page.evaluate(
        "document.querySelector('.pan').scrollWidth <= document.querySelector('main').clientWidth"
    )
    await tree.get_by_role("link", name="shots-and-sound").click()
    await expect(page.get_by_role("heading", name="shots-and-sound")).to_be_visible()

    await page.set_viewport_size({"width": 360, "height": 800})
    await page.goto("/admin/agents")

    await expect(tree).to_be_hidden()
    words = page.locator(".treelist").first
    await expect(words.get_by_role("link", name="illustrator").first).to_be_visible()
    await expect(words.locator("ul ul ul ul").get_by_role("link")).to_have_text(["video-maker", "sound-designer"])
