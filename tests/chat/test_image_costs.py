"""The hold for an image: its tokens come from the model's entry in the catalog, or else from the setting."""

import secrets

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.agents.definitions import LONGEST_ANSWER, make_host
from tests.chat.asking import ask, user

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
CREDIT = "0.5"


def entry(name: str, image_tokens: str) -> str:
    """A chat model at one credit for a million tokens of the prompt."""
    price = "price = { per_million_prompt_tokens = 1 }"
    lines = [f'name = "{name}"', 'kind = "chat"', f"max_output_tokens = {LONGEST_ANSWER}", image_tokens, price]
    return "\n".join(["[[models]]", *lines])


@pytest.mark.parametrize(
    ("image_tokens", "status"), [("image_tokens = 600_000", 402), ("image_tokens = 200_000", 200), ("", 200)]
)
async def test_the_hold_for_an_image_depends_on_its_models_image_tokens(
    http: httpx.AsyncClient, database: Database, image_tokens: str, status: int
) -> None:
    model = f"sim-chat-{secrets.token_hex(4)}"
    host = await make_host(database, model, credit=CREDIT)
    await factories.import_catalog(database, entry(model, image_tokens))

    with_image = await ask(http, host, messages=[user([{"type": "text", "text": "Hello"}, IMAGE])])
    without = await ask(http, host, "Hello")

    assert (with_image.status_code, without.status_code) == (status, 200)
