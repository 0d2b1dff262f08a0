"""The gallery, empty, filtered and full, and the page of a content in each of its states."""

from datetime import timedelta

from app.core.clock import now
from tests.admin.contents import add_content, open_maker
from tests.browser.world import Case, World

_PROMPTS = {
    "simulator/image": "A serene mountain landscape at sunset with dramatic clouds and golden light on a calm lake",
    "simulator/video": "A drone shot over dunes at dawn, slow and steady",
    "simulator/audio": "Warm lo-fi loop, brushed drums, 70 bpm, rain in the background",
    "simulator/glb": "Low-poly vase, matt glaze, ready for print",
    "simulator/json": "A palette of six colours as JSON",
    "simulator/image--fail": "Portrait of the mascot, paper cut style, four variants",
}


async def pages(world: World) -> list[Case]:
    async with open_maker(world.stack, world.organization) as maker:
        made = {model: await maker.make(model, prompt) for model, prompt in _PROMPTS.items()}
        several = await maker.bench.ask("simulator/image", prompt="Stoneware mug on an oak table", num_outputs=3)
        await maker.bench.until_ended(several)
        again = await maker.make("simulator/image--fail-1", "Lighthouse on a cliff, beam over a dark sea")
        await maker.bench.retry(again)
        await maker.bench.until_ended(again)
    long = await add_content(
        world.database, world.organization, "failed", prompt="W" * 4000, agent="w" * 64, retry_count=3, max_retries=3
    )
    started = now() - timedelta(seconds=38)
    running = await add_content(world.database, world.organization, "processing", created_at=started)
    waiting = await add_content(world.database, world.organization, "pending")
    old = now() - timedelta(days=400)
    gone = await add_content(world.database, world.organization, content_type="other", created_at=old)
    shown = {
        "image": made["simulator/image"],
        "video": made["simulator/video"],
        "audio": made["simulator/audio"],
        "glb": made["simulator/glb"],
        "other": made["simulator/json"],
        "failed": made["simulator/image--fail"],
        "several": several,
        "retried": again,
        "long": long.id,
        "running": running.id,
        "waiting": waiting.id,
        "gone": gone.id,
    }
    return [
        Case("content", "/content"),
        Case("content-filtered", "/content?type=image&status=completed&since=2020-01-01"),
        Case("content-no-match", "/content?status=failed&until=2020-01-01"),
        Case("content-search", "/content?q=nothing"),
        Case("content-member", "/content", as_role="member"),
        *(Case(f"content-{name}", f"/content/{content_id}") for name, content_id in shown.items()),
        Case("content-failed-viewer", f"/content/{shown['failed']}", as_role="viewer"),
    ]
